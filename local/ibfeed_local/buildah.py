"""Building images without a daemon and without a registry, and handing them to containerd.

Layers go over uncompressed and one by one: containerd gets only those that it lacks, so that a change of our sources
costs seconds though the worker's image has more than a gigabyte.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from ibfeed_local import containers
from ibfeed_local.command import output, run, succeeds
from ibfeed_local.problem import Problem
from ibfeed_local.state import State, write

TYPE_INDEX = "application/vnd.oci.image.index.v1+json"


def build(
    state: State, tag: str, dockerfile: Path, context: Path, log: Path, *, arguments: Mapping[str, str] | None = None
) -> None:
    """Build an ordinary Dockerfile and give the image a tag."""
    given = [part for name, value in (arguments or {}).items() for part in ("--build-arg", f"{name}={value}")]
    run(
        [*_buildah(state), "build", "--isolation", "chroot", "--network", "host", "--layers", "--pull-never"]
        + ["--signature-policy", _policy(state), "--tag", tag, "--file", dockerfile, *given, context],
        log,
        remedy="Can this machine reach the Debian mirror and PyPI?",
    )


def built(state: State, tag: str) -> bool:
    """Whether there is an image of this tag."""
    return succeeds([*_buildah(state), "inspect", "--type", "image", tag])


def hand_over(state: State, tag: str, log: Path) -> None:
    """Give an image to containerd."""
    layout = state.images / "layout"
    shutil.rmtree(layout, ignore_errors=True)
    layout.mkdir()
    # Blobs of earlier images stay in one place for buildah to find again, instead of writing them again.
    shared = state.images / "blobs"
    shared.mkdir(exist_ok=True)
    (layout / "blobs").symlink_to(shared)
    run(
        [*_buildah(state), "push", "--signature-policy", _policy(state), "--disable-compression", tag, f"oci:{layout}:{tag}"],
        log,
    )
    _import(layout, tag)
    shutil.rmtree(layout)


def remove(state: State, tag: str) -> None:
    """Forget an image; layers that others use stay."""
    if built(state, tag):
        output([*_buildah(state), "rmi", "--force", tag])


def tags(state: State, repository: str) -> set[str]:
    """The tags of all built images of a repository, such as docker.io/ibfeed/worker."""
    listing = output([*_buildah(state), "images", "--format", "{{.Name}}:{{.Tag}}"])
    return {line for line in listing.split() if line.rpartition(":")[0] == repository}


def _import(layout: Path, tag: str) -> None:
    """Stream an archive of what containerd lacks into it."""
    present = containers.blobs()
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag}
    importing = subprocess.Popen(
        [*containers.CTR, "images", "import", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if importing.stdin is None or importing.stdout is None:
        raise AssertionError("both are pipes")
    try:
        with tarfile.open(fileobj=importing.stdin, mode="w|", bufsize=1 << 20) as archive:
            _add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))
            _add(archive, "index.json", json.dumps({"schemaVersion": 2, "mediaType": TYPE_INDEX} | index))
            for digest in _needed(layout, index["manifests"][0]["digest"]):
                if digest not in present:
                    archive.add(_blob(layout, digest), f"blobs/{digest.replace(':', '/')}")
        importing.stdin.close()
    except BrokenPipeError:
        importing.stdin = None  # it has ended already; its exit code and words follow
    said = importing.stdout.read().decode(errors="replace")
    if importing.wait() != 0:
        raise Problem(f"containerd did not take the image {tag}: {said.strip()[-2000:]}")


def _needed(layout: Path, manifest_digest: str) -> list[str]:
    """The digests of an image: layers and configuration first, so that the manifest never stands without them."""
    manifest = json.loads(_blob(layout, manifest_digest).read_text())
    return [*(layer["digest"] for layer in manifest["layers"]), manifest["config"]["digest"], manifest_digest]


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    archive.addfile(entry, io.BytesIO(text.encode()))


def _buildah(state: State) -> list[str | Path]:
    storage = state.images / "storage"
    return ["buildah", "--root", storage, "--runroot", state.images / "run", "--storage-driver", "overlay"]


def _policy(state: State) -> Path:
    """What signatures to ask of images: none, they are all made here. Not every distribution installs a policy."""
    policy = state.images / "policy.json"
    if not policy.exists():
        write(policy, json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    return policy
