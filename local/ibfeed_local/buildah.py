"""Building images without a daemon and without a registry, and handing them to containerd.

Layers go over uncompressed and one by one. containerd gets only those that it lacks. So a change of our sources costs
seconds, although the worker's image has more than a gigabyte.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ibfeed_local import containers
from ibfeed_local.command import output, run, succeeds
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State, write


def build(
    state: State, tag: str, dockerfile: Path, context: Path, log: Path, *, arguments: Mapping[str, str] | None = None
) -> None:
    """Build an ordinary Dockerfile and give the image a tag."""
    given = [part for name, value in (arguments or {}).items() for part in ("--build-arg", f"{name}={value}")]
    how: list[str | Path] = ["--isolation", "chroot", "--network", "host", "--layers", "--pull-never"]
    how += ["--signature-policy", _policy(state)]
    run(
        [*_buildah(state), "build", *how, "--tag", tag, "--file", dockerfile, *given, context],
        log,
        remedy="Can this machine reach the Debian mirror and PyPI?",
    )


def built(state: State, tag: str) -> bool:
    """Whether there is an image of this tag."""
    return succeeds([*_buildah(state), "inspect", "--type", "image", tag])


def hand_over(state: State, tag: str, log: Path) -> None:
    """Give an image to containerd."""
    present = containers.blobs()
    with tempfile.TemporaryDirectory(dir=state.images) as folder:
        layout = Path(folder)
        contents = layout / "blobs" / "sha256"
        contents.mkdir(parents=True)
        for digest in present:  # a link, so that it is not written again
            (layout / _path(digest)).hardlink_to(containers.blob(state, digest))
        source = f"containers-storage:[overlay@{state.images / 'storage'}+{state.images / 'run'}]{tag}"
        run(
            [
                "skopeo",
                "--policy",
                _policy(state),
                "copy",
                "--dest-oci-accept-uncompressed-layers",
                source,
                f"oci:{layout}:image",
            ],
            log,
        )
        _import(layout, tag, present)


def remove(state: State, tag: str) -> None:
    """Forget an image; layers that others use stay."""
    if built(state, tag):
        output([*_buildah(state), "rmi", "--force", tag])


def tags(state: State, repository: str) -> set[str]:
    """Return the tags of all built images of a repository, such as docker.io/ibfeed/worker."""
    listing = output([*_buildah(state), "images", "--format", "{{.Name}}:{{.Tag}}"])
    return {line for line in listing.split() if line.rpartition(":")[0] == repository}


def remove_storage(state: State) -> None:
    """Remove all images, with the mounts that their storage may hold."""
    containers.unmount(state.images)
    shutil.rmtree(state.images, ignore_errors=True)


def _import(layout: Path, tag: str, present: set[str]) -> None:
    """Stream an archive of the contents that containerd lacks into it."""
    [manifest] = json.loads((layout / "index.json").read_text())["manifests"]
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest | {"annotations": {"io.containerd.image.name": tag}}],
    }
    importing = subprocess.Popen(
        [*containers.CTR, "images", "import", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if importing.stdin is None or importing.stdout is None:
        raise AssertionError("both are pipes")
    try:
        with importing.stdin as pipe, tarfile.open(fileobj=pipe, mode="w|", bufsize=1 << 20) as archive:
            _add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))
            _add(archive, "index.json", json.dumps(index))
            for digest in _needed(layout, manifest["digest"]):
                if digest not in present:
                    archive.add(layout / _path(digest), _path(digest))
    except BrokenPipeError:
        pass  # ctr has given up; its exit code and message follow
    said = importing.stdout.read().decode(errors="replace")
    if importing.wait() != 0:
        raise ProblemError(f"containerd did not take the image {tag}: {said.strip()[-2000:]}")


def _needed(layout: Path, manifest_digest: str) -> list[str]:
    """Return the digests of an image. Layers and configuration come first, so no manifest is there without them."""
    manifest = json.loads((layout / _path(manifest_digest)).read_text())
    return [*(layer["digest"] for layer in manifest["layers"]), manifest["config"]["digest"], manifest_digest]


def _path(digest: str) -> str:
    """Return the place in an OCI layout of the content with a digest such as sha256:ab12..."""
    return f"blobs/{digest.replace(':', '/')}"


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    archive.addfile(entry, io.BytesIO(text.encode()))


def _buildah(state: State) -> list[str | Path]:
    storage = state.images / "storage"
    return ["buildah", "--root", storage, "--runroot", state.images / "run", "--storage-driver", "overlay"]


def _policy(state: State) -> Path:
    """Write a policy that asks for no signatures: all images are made here, and not every distribution installs one."""
    policy = state.images / "policy.json"
    if not policy.exists():
        write(policy, json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    return policy
