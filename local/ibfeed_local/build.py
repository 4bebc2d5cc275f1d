"""The downloads and builds that the cluster needs before it can start."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from ibfeed_local import command, images, kafka, kubernetes, packages, preflight, venv
from ibfeed_local.progress import Progress
from ibfeed_local.state import State


def everything(state: State, progress: Progress) -> None:
    """Bring all of it up to date. Kubernetes is the longest build, and is compiled beside the other steps."""
    preflight.room(state)
    with progress.step("packages of the distribution") as step:
        installed = packages.install(state, packages.CLUSTER)
        step.result = f"installed {' '.join(installed)}" if installed else "all there"
    with ThreadPoolExecutor(max_workers=1) as background:
        compiled: Future[None] = background.submit(_kubernetes, state, progress)
        try:
            with progress.step("Python environment") as step:
                step.result = venv.build(state)
            with progress.step("Kafka") as step:
                step.result = kafka.fetch(state)
            with progress.step("base image") as step:
                step.result = images.build_base(state)
        except BaseException:
            command.end_children()
            raise
        compiled.result()


def _kubernetes(state: State, progress: Progress) -> None:
    with progress.step("Kubernetes") as step:
        step.result = kubernetes.build(state)
