"""The verbs of the local environment, one for each target of the Makefile."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ibfeed_local import (
    acceptance,
    bench,
    build,
    buildah,
    categories,
    charts,
    clickhouse,
    cluster,
    command,
    compiled,
    deploy,
    exclusive,
    golang,
    helm,
    images,
    interrupt,
    kafka,
    layout,
    lock,
    monitored,
    packages,
    peers,
    preflight,
    registry,
    site,
    spark,
    target,
    venv,
    verify,
)
from ibfeed_local import demo as show
from ibfeed_local.interrupt import Interrupted
from ibfeed_local.problem import ProblemError
from ibfeed_local.progress import Progress
from ibfeed_local.state import State


def main(arguments: list[str]) -> int:
    """Carry out one verb; return the exit code."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"usage: python3 -m ibfeed_local {'|'.join(VERBS)}", file=sys.stderr)
        return 2
    interrupt.listen()
    try:
        return VERBS[arguments[0]](State.from_environment()) or 0
    except ProblemError as problem:
        print(f"\nERROR: {problem}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print("\ninterrupted; run it again to go on where it stopped", file=sys.stderr)
        return interrupted.exit_code
    finally:
        command.end_children()


def demo(state: State) -> None:
    """Start everything, with the examples, and show live ticks at the end."""
    with _alone(state) as progress:
        target = _deployed(state, progress)
        show.show(state, target, progress)


def up(state: State) -> None:
    """Start everything but the examples."""
    with _alone(state) as progress:
        _deployed(state, progress)


def cluster_only(state: State) -> None:
    """Start Kubernetes and Kafka, without the product."""
    with _alone(state) as progress:
        _start(state, progress)


def build_images(state: State) -> None:
    """Build the images that have changed, and hand them to the local cluster."""
    with _alone(state) as progress:
        build.everything(state, progress)
        _needs_cluster(state)
        images.build(state, progress)


def deploy_product(state: State) -> None:
    """Bring simulator, definitions and operator on the cluster up to date."""
    with _alone(state) as progress:
        if _is_current():
            deploy.everything(state, _current(state, progress), progress)
            return
        build.everything(state, progress)
        _needs_cluster(state)
        deploy.everything(state, target.local(state, images.build(state, progress)), progress)


def kubeconfig(state: State) -> None:
    """Print the lines that a shell evaluates to use kubectl on the local cluster."""
    print(f"export KUBECONFIG={shlex.quote(str(state.kubeconfig))}")
    if shutil.which("kubectl") is None:
        print(f'export PATH={shlex.quote(str(state.bin))}:"$PATH"')


def ticks(state: State) -> int:
    """Print ticks until interrupted."""
    if not state.python.exists():
        raise ProblemError("nothing is built yet", "Start with: make demo")
    try:
        return show.ticks(state, target.current().kafka if _is_current() else layout.KAFKA, 0)
    except Interrupted as interrupted:
        if interrupted.sign is signal.SIGINT:  # Ctrl-C is how a person ends it
            return 0
        raise


def down(state: State) -> None:
    """Stop everything; keep caches and images."""
    if _is_current():
        raise ProblemError(
            "CLUSTER=current was not started from here", "Remove the feeds with: kubectl delete ibf --all"
        )
    if state.root.exists():
        with _alone(state) as progress:
            cluster.down(state, progress)


def clean(state: State) -> None:
    """Stop everything and remove the state folder."""
    if not state.root.exists():
        return
    if not (state.root / "steps").is_dir() and any(state.root.iterdir()):
        raise ProblemError(
            f"{state.root} does not look like a state folder of ours", "Look at it, and remove it yourself."
        )
    down(state)
    with Progress().step(f"removing {state.root}"):
        buildah.remove_storage(state)
        golang.make_removable(state)
        shutil.rmtree(state.root)


def lint(state: State) -> int:
    """Check style, types and import contracts."""
    _environment(state)
    return _verdict(verify.lint(state))


def coverage(state: State) -> int:
    """Measure how much of the pure modules the unit tests reach."""
    _environment(state)
    return _verdict(verify.coverage(state))


def docs(state: State) -> None:
    """Write the pages that are made of the custom resource definitions again, and build the documentation site."""
    state.prepare()
    with exclusive.hold(state):
        progress = Progress()
        with progress.step("the site's generator") as step:
            step.result = peers.build(state, peers.DOCS)
        with progress.step("reference of the custom resources") as step:
            step.result = site.write_reference(state)
        with progress.step("site") as step:
            step.result = site.build(state)


def test_fast(state: State) -> int:
    """Run all that needs neither cluster nor Kafka."""
    _environment(state)
    return _verdict(verify.fast(state))


def test(state: State) -> int:
    """Run everything. The cheap part comes first, and the cluster only if that is clean."""
    if code := test_fast(state):
        return code
    with _alone(state) as progress:
        _others_clients(state, progress)
        _stores(state, progress)
        with progress.step("the worker's modules, compiled") as step:
            step.result = compiled.build(state)
        with progress.step("schema registry") as step:
            step.result = registry.fetch(state)
        with progress.step("Helm, for the charts") as step:
            step.result = helm.install(state)
        _deployed(state, progress)
    return _verdict(verify.on_the_cluster(state))


def test_gateway(state: State) -> int:
    """Test one gateway distribution: the main job, a hand-over, crashes, a reset and each fault of a session."""
    archive = acceptance.archive()
    if _is_current():
        raise ProblemError("the tests kill containers, and need the local cluster for that", "Unset CLUSTER.")
    with _alone(state) as progress:
        _others_clients(state, progress)
        _deployed(state, progress)
        with progress.step(f"worker image with {archive.name}") as step:
            step.result = image = images.build_worker_with(state, archive)
    return _verdict(verify.gateway(state, image))


def bench_ownership(state: State) -> int:
    """Measure how moves, crashes and hung workers show to a reader of Kafka."""
    if _is_current():
        raise ProblemError(
            "the benchmark kills and stops processes, and needs the local cluster for that", "Unset CLUSTER."
        )
    with _alone(state) as progress:
        _deployed(state, progress)
    return bench.run(state, "ownership")


def bench_always_on(state: State) -> int:
    """Measure whether the stream outlives the control plane."""
    if _is_current():
        raise ProblemError("the benchmark stops the API server, and needs the local cluster for that", "Unset CLUSTER.")
    with _alone(state) as progress:
        _deployed(state, progress)
    return bench.run(state, "always_on")


def bench_worker(state: State) -> int:
    """Measure throughput, latency and losses of a worker's data path, beside other people's clients."""
    if _is_current():
        raise ProblemError(
            "the benchmark stalls and pins processes, and needs the local cluster for that", "Unset CLUSTER."
        )
    with _alone(state) as progress:
        with progress.step("a browser for the logins") as step:
            step.result = " ".join(packages.install(state, packages.BROWSER)) or "there already"
        _start(state, progress)
        with progress.step("what others' clients need") as step:
            step.result = peers.build(state)
        with progress.step("the worker's modules, compiled") as step:
            step.result = compiled.build(state)
    return bench.run(state, "datapath")


def bench_downstream(state: State) -> int:
    """Measure what readers, stores and recordings get of a feed. It needs no cluster, and starts its own brokers."""
    with _alone(state) as progress:
        with progress.step("packages of the distribution") as step:
            step.result = " ".join(packages.install(state, packages.JAVA)) or "all there"
        with progress.step("Python environment") as step:
            step.result = venv.build(state)
        with progress.step("Kafka") as step:
            step.result = kafka.fetch(state)
        _stores(state, progress)
        with progress.step("the worker's modules, compiled") as step:
            step.result = compiled.build(state)
    return bench.run(state, "downstream")


def schemas(state: State) -> None:
    """Make the artefacts and the page of the category schemas from their source again."""
    _environment(state)
    with Progress().step("category schemas") as step:
        step.result = categories.generate(state)


def monitoring(state: State) -> None:
    """Make the pages of metrics and events and the dashboard from the code again."""
    _environment(state)
    with Progress().step("pages and dashboard") as step:
        step.result = monitored.generate(state)


def make_charts(_state: State) -> None:
    """Make the Helm chart's templates of the manifests, and its values of their schema, again."""
    with Progress().step("charts/ibfeed") as step:
        step.result = charts.generate()


def lock_requirements(state: State) -> None:
    """Resolve the locked requirements again."""
    _environment(state)
    with Progress().step("resolving requirements"):
        lock.write_all(state)


def _others_clients(state: State, progress: Progress) -> None:
    """Install the clients that the tests run, and the browser by which tests and one of the clients log in."""
    with progress.step("a browser for the tests") as step:
        step.result = " ".join(packages.install(state, packages.BROWSER | packages.DISPLAY)) or "there already"
    with progress.step("promtool, for the alert rules") as step:
        step.result = str(packages.unpacked(state, "prometheus", "usr/bin/promtool"))
    with progress.step("other people's clients") as step:
        step.result = ", ".join(f"{name} {peers.build(state, name)}" for name in peers.CLIENTS)


def _stores(state: State, progress: Progress) -> None:
    """Install what a feed's records are written to in the tests."""
    with progress.step("Redis") as step:
        step.result = " ".join(packages.install(state, packages.REDIS)) or "there already"
    with progress.step("ClickHouse's engine") as step:
        packages.install(state, clickhouse.PACKAGES)
        step.result = clickhouse.install(state)
    with progress.step("Spark") as step:
        step.result = spark.build(state)


def _deployed(state: State, progress: Progress) -> target.Target:
    if _is_current():
        where = _current(state, progress)
    else:
        _start(state, progress)
        where = target.local(state, images.build(state, progress))
    deploy.everything(state, where, progress)
    return where


def _start(state: State, progress: Progress) -> None:
    if not any(state.run.iterdir()):
        preflight.unclaimed()  # `up` asks, too, but a person should hear of it before the long builds
    build.everything(state, progress)
    cluster.up(state, progress)
    images.load_pause(state)


def _current(state: State, progress: Progress) -> target.Target:
    where = target.current()  # first, because people get this wrong more often
    with progress.step("Python environment") as step:
        step.result = venv.build(state)
    return where


def _environment(state: State) -> None:
    """Build the virtual environment alone. That needs no root and no cluster."""
    state.prepare()
    with exclusive.hold(state), Progress().step("Python environment") as step:
        step.result = venv.build(state)


def _needs_cluster(state: State) -> None:
    if not cluster.is_up(state):
        raise ProblemError("the local cluster is not up", "Start it with: make up")


def _is_current() -> bool:
    wanted = os.environ.get("CLUSTER", "")
    if wanted not in ("", "local", "current"):
        raise ProblemError(f"CLUSTER must be `local` or `current`, and it is {wanted!r}")
    return wanted == "current"


def _verdict(failures: int) -> int:
    return 1 if failures else 0


@contextmanager
def _alone(state: State) -> Iterator[Progress]:
    """Hold the lock of the state folder. Before that, check a machine that is to carry the cluster."""
    if not _is_current():
        preflight.machine()
    state.prepare()
    with exclusive.hold(state):
        yield Progress()


VERBS: dict[str, Callable[[State], int | None]] = {
    "demo": demo,
    "up": up,
    "cluster": cluster_only,
    "images": build_images,
    "deploy": deploy_product,
    "kubeconfig": kubeconfig,
    "ticks": ticks,
    "down": down,
    "clean": clean,
    "lint": lint,
    "test-fast": test_fast,
    "coverage": coverage,
    "docs": docs,
    "test": test,
    "test-gateway": test_gateway,
    "bench-ownership": bench_ownership,
    "bench-always-on": bench_always_on,
    "bench-worker": bench_worker,
    "bench-downstream": bench_downstream,
    "monitoring": monitoring,
    "schemas": schemas,
    "charts": make_charts,
    "lock": lock_requirements,
}
