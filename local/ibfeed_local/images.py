"""The images: the base and the product's four. A tag is the digest of all that goes into its image."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ibfeed_local import buildah, containers, layout
from ibfeed_local.command import run
from ibfeed_local.problem import ProblemError
from ibfeed_local.progress import Progress
from ibfeed_local.state import SOURCE, State, digest, write

REDIS = "docker.io/library/redis:7.0-bookworm"  # as examples/downstream.yaml names it
BASE = "docker.io/library/python:3.11-slim-bookworm"  # as the Dockerfiles name it
RECIPES = SOURCE / "local" / "images"
SUITE = "bookworm"
BASE_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
GATEWAY = SOURCE / "dist" / "gateway.zip"


@dataclass(frozen=True)
class Image:
    """An image of the product, and the paths in the source tree that it is made of."""

    name: str
    sources: tuple[str, ...]
    gateway: bool = False

    @property
    def repository(self) -> str:
        return f"docker.io/ibfeed/{self.name}"

    @property
    def dockerfile(self) -> Path:
        return SOURCE / f"Dockerfile.{self.name}"


OPERATOR = Image("operator", ("api/ibfeed_api", "operator/ibfeed_operator", "requirements/operator.txt"))
WORKER = Image(
    "worker",
    (
        *("api/ibfeed_api", "worker/ibfeed_worker", "worker/image", "client/ibfeed"),
        *("requirements/worker.txt", "requirements/compile.txt"),
    ),
    gateway=True,
)
SIMULATOR = Image("simulator", ("simulator/ibfeed_simulator", "requirements/simulator.txt"))
PLATFORM = Image(
    "platform", ("api/ibfeed_api", "client/ibfeed", "platform/ibfeed_platform", "requirements/platform.txt")
)
PRODUCT = (SIMULATOR, OPERATOR, WORKER, PLATFORM)


def build_base(state: State) -> str:
    """Make the base image from the Debian mirror; return a word on what was done."""
    wanted = digest(SUITE, BASE_PACKAGES, RECIPES / "base.Dockerfile", AUTHORITIES)
    if state.finished("base-image", wanted) and buildah.built(state, BASE):
        return "up to date"
    log = state.log / "base-image.log"
    with tempfile.TemporaryDirectory(dir=state.images) as context:
        tree = Path(context) / "root.tar"
        run(
            [
                *(
                    "mmdebstrap",
                    "--variant=apt",
                    f"--include={BASE_PACKAGES}",
                    "--dpkgopt=path-exclude=/usr/share/doc/*",
                ),
                *("--keyring=/usr/share/keyrings/debian-archive-keyring.gpg", SUITE, tree),
            ],
            log,
            remedy="Can this machine reach a mirror of Debian's packages?",
        )
        shutil.copy(AUTHORITIES, context)
        buildah.build(state, BASE, RECIPES / "base.Dockerfile", Path(context), log)
    state.finish("base-image", wanted)
    return BASE


def load_pause(state: State) -> None:
    """Give containerd the pause image, which holds every pod open, if it lacks it."""
    binary = state.bin / "pause"
    wanted = digest(binary, RECIPES / "pause.Dockerfile")
    if state.finished("pause-image", wanted) and layout.PAUSE_IMAGE in containers.image_names():
        return
    log = state.log / "pause-image.log"
    with tempfile.TemporaryDirectory(dir=state.images) as context:
        shutil.copy(binary, context)
        buildah.build(state, layout.PAUSE_IMAGE, RECIPES / "pause.Dockerfile", Path(context), log)
    buildah.hand_over(state, layout.PAUSE_IMAGE, log)
    state.finish("pause-image", wanted)


def load_redis(state: State) -> str:
    """Give containerd a Redis for the example and the tests, if it lacks it; return a word on what was done."""
    wanted = digest(SUITE, BASE_PACKAGES, RECIPES / "redis.Dockerfile")
    if state.finished("redis-image", wanted) and REDIS in containers.image_names():
        return "up to date"
    log = state.log / "redis-image.log"
    with tempfile.TemporaryDirectory(dir=state.images) as context:
        buildah.build(state, REDIS, RECIPES / "redis.Dockerfile", Path(context), log)
    buildah.hand_over(state, REDIS, log)
    state.finish("redis-image", wanted)
    return REDIS


def build_gateway(state: State) -> str:
    """Pack the simulator's gateway, which needs no download; return a word on what was done."""
    wanted = digest(
        SOURCE / "simulator" / "ibfeed_simulator", SOURCE / "requirements" / "simulator.txt", state.venv / "pyvenv.cfg"
    )
    if state.finished("gateway", wanted + str(GATEWAY)) and GATEWAY.exists():
        return "up to date"
    GATEWAY.parent.mkdir(exist_ok=True)
    partial = GATEWAY.with_name("gateway.partial.zip")
    run(
        [state.python, "-m", "ibfeed_simulator.distribution", "--output", partial],
        state.log / "gateway.log",
        environment={"PYTHONPATH": str(SOURCE / "simulator")},
        folder=SOURCE,
    )
    partial.replace(GATEWAY)
    state.finish("gateway", wanted + str(GATEWAY))
    return f"{GATEWAY.stat().st_size / 1e6:.1f} MB"


def tag(image: Image, gateway: Path = GATEWAY) -> str:
    """Return the image's name and tag. The tag is a digest of the Dockerfile and of all that it copies."""
    for source in image.sources:
        if not (SOURCE / source).exists():
            raise ProblemError(
                f"{source} is missing; the image {image.repository} is made of it", "Is the checkout whole?"
            )
    paths = [image.dockerfile, SOURCE / ".dockerignore", *(SOURCE / source for source in image.sources)]
    if image.gateway:
        paths.append(gateway)
    return f"{image.repository}:{digest(SUITE, BASE_PACKAGES, *paths)[:12]}"


def build(state: State, progress: Progress) -> dict[str, str]:
    """Build each image that has changed, hand it to containerd, and return the tag of each image by its name."""
    with progress.step("gateway distribution") as step:
        step.result = build_gateway(state)
    tags = {image.name: tag(image) for image in PRODUCT}
    for image in PRODUCT:
        wanted = tags[image.name]
        log = state.log / f"image-{image.name}.log"
        with progress.step(f"image {image.name}") as step:
            if wanted in containers.image_names():
                step.result = f"{wanted}, up to date"
                continue
            if not buildah.built(state, wanted):
                buildah.build(state, wanted, image.dockerfile, SOURCE, log, arguments=_arguments(image))
            step.result = wanted
        with progress.step(f"image {image.name} to the cluster"):
            buildah.hand_over(state, wanted, log)
    with progress.step("image redis, for the example") as step:
        step.result = load_redis(state)
    _prune(state, tags)
    write(state.images / "tags", "".join(f"{name} {name_and_tag}\n" for name, name_and_tag in tags.items()))
    return tags


def build_worker_with(state: State, archive: Path) -> str:
    """Build the worker's image with another gateway distribution, and hand it to containerd.

    It stays until the next build. Returns its name and tag.
    """
    wanted, log = tag(WORKER, archive), state.log / "image-worker-with.log"
    if wanted in containers.image_names():
        return wanted
    # A build sees only files of the source tree.
    copy = GATEWAY.with_name(f"given-{os.getpid()}.zip")
    shutil.copy(archive, copy)
    try:
        if not buildah.built(state, wanted):
            buildah.build(state, wanted, WORKER.dockerfile, SOURCE, log, arguments=_arguments(WORKER, copy))
        buildah.hand_over(state, wanted, log)
    finally:
        copy.unlink()
    return wanted


def _arguments(image: Image, gateway: Path = GATEWAY) -> dict[str, str]:
    if not image.gateway:
        return {}
    checksum = hashlib.sha256(gateway.read_bytes()).hexdigest()
    return {"GATEWAY_ARCHIVE": str(gateway.relative_to(SOURCE)), "GATEWAY_SHA256": checksum}


def _prune(state: State, tags: dict[str, str]) -> None:
    """Drop the images of earlier sources."""
    stored = containers.image_names()
    for image in PRODUCT:
        old = {name for name in stored if name.startswith(f"{image.repository}:")} - {tags[image.name]}
        containers.remove_images(sorted(old))
        for name in buildah.tags(state, image.repository) - {tags[image.name]}:
            buildah.remove(state, name)
