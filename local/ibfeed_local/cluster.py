"""The local cluster as a whole: up and down."""

from __future__ import annotations

import shutil

from ibfeed_local import containers, control_plane, daemons, kafka, layout, network, node, pki, preflight, processes
from ibfeed_local.command import output
from ibfeed_local.progress import Progress
from ibfeed_local.state import SOURCE, State

# In the order of stopping. The first ones would start pods again; the last ones are needed to end pods.
DAEMONS = (*node.NAMES[::-1], *control_plane.NAMES, "kafka", "containerd")
ESSENTIAL = SOURCE / "local" / "manifests" / "cluster.yaml"


def up(state: State, progress: Progress) -> None:
    """Start each part of the cluster and of Kafka that does not run. Everything must be built."""
    alive = [name for name in DAEMONS if daemons.running(state, name)]
    if is_up(state):
        progress.report("cluster and Kafka: already up")
        return
    if not alive:
        down(state, progress)  # a crash or a reboot may have left something
        state.prepare()
        preflight.unclaimed()
    with progress.step("starting Kafka") as step:
        network.up(state)
        kafka.start(state)
        step.result = layout.KAFKA
    with progress.step("starting Kubernetes") as step:
        if not alive:
            pki.create(state)
        containers.start(state)
        control_plane.start(state)
        kubectl(state, "apply", "--server-side", "--field-manager=ibfeed-local", "-f", str(ESSENTIAL))
        node.start(state)
        node.wait_until_ready(state)
        step.result = f"node {layout.NODE} is ready"


def down(state: State, progress: Progress) -> None:
    """Stop all of it, and leave nothing behind but caches and images. Nothing happens if nothing is there."""
    if not any(state.run.iterdir()):
        processes.end(daemons.marked(state), patience=3)  # left by tests that were cut short
        return
    with progress.step("stopping the cluster and Kafka"):
        daemons.stop(state, "kubelet", patience=5)
        if daemons.running(state, "containerd"):
            containers.end_all()
        processes.end(containers.processes_in_pods(), patience=0)
        stopping = [process for name in DAEMONS if (process := daemons.known(state, name)) is not None]
        processes.end(stopping, patience=3)  # their data are deleted, so nothing is waited for
        processes.end(daemons.marked(state), patience=3)  # containerd's shims; a daemon whose pid file was not written
        containers.sweep(state)
        network.down(state)
        shutil.rmtree(state.root / "kubelet", ignore_errors=True)
        shutil.rmtree(state.log / "pods", ignore_errors=True)
        shutil.rmtree(state.run)
        state.prepare()


def is_up(state: State) -> bool:
    """Whether every part of the cluster runs."""
    return all(daemons.running(state, name) for name in DAEMONS) and control_plane.ready(state)


def kubectl(state: State, *arguments: str, given: str = "") -> str:
    """Return the output of kubectl, run on the local cluster as its administrator."""
    return output([state.kubectl, f"--kubeconfig={state.kubeconfig}", *arguments], given=given)
