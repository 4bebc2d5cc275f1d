"""Our own containerd: its configuration, the images in it, and ending all that runs under it."""

from __future__ import annotations

import contextlib
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ibfeed_local import daemons, layout, network, packages
from ibfeed_local.command import output, succeeds
from ibfeed_local.problem import ProblemError
from ibfeed_local.processes import Process
from ibfeed_local.state import RUNTIME, State, write

CTR = ("ctr", "--address", str(layout.CONTAINERD_SOCKET), "-n", "k8s.io")
UNUSED = (
    "io.containerd.internal.v1.opt",  # would make /opt/containerd
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
)


def start(state: State) -> None:
    """Start containerd, unless it runs, and wait until it answers."""
    RUNTIME.mkdir(mode=0o700, exist_ok=True)
    cni = network.write_cni(state)
    unused = ", ".join(f'"{plugin}"' for plugin in UNUSED)
    configuration = state.run / "containerd.toml"
    # restrict_oom_score_adj: many sandboxes lack CAP_SYS_RESOURCE, and runc dies there: "can't get final child's PID".
    # netns_mounts_under_state_dir: the pods' network namespaces go when our state folder is unmounted.
    write(
        configuration,
        f"""version = 2
root = "{state.root / "containerd"}"
state = "{layout.CONTAINERD_STATE}"
disabled_plugins = [{unused}]
[grpc]
  address = "{layout.CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{layout.PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{packages.cni_folder()}"
  conf_dir = "{cni}"
""",
    )
    daemons.start(state, "containerd", ["containerd", "-c", configuration], folder=state.run)
    deadline = time.monotonic() + 30
    while not (layout.CONTAINERD_SOCKET.exists() and succeeds([*CTR, "version"])):
        daemons.require(state, "containerd")
        if time.monotonic() > deadline:
            raise ProblemError("containerd did not answer within 30 s", f"See {state.log / 'containerd.log'}")
        time.sleep(0.2)


def image_names() -> set[str]:
    """Return the names of the images that pods can use."""
    return set(output([*CTR, "images", "list", "-q"]).split())


def blobs() -> set[str]:
    """Return the digests of all stored contents, such as sha256:ab12..."""
    return set(output([*CTR, "content", "list", "-q"]).split())


def blob(state: State, digest: str) -> Path:
    """Return the file of a stored content. It may be linked to, but never written."""
    return state.root / "containerd" / "io.containerd.content.v1.content" / "blobs" / digest.replace(":", "/")


def remove_images(names: list[str]) -> None:
    """Forget images. containerd collects their contents."""
    if names:
        output([*CTR, "images", "remove", *names])


def end_all() -> None:
    """End every container and forget it. Images stay. containerd must run, and the kubelet must not."""
    tasks = output([*CTR, "tasks", "list", "-q"]).split()
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda task: succeeds([*CTR, "tasks", "remove", "-f", task]), tasks))
        known = output([*CTR, "containers", "list", "-q"]).split()
        list(pool.map(lambda container: succeeds([*CTR, "containers", "remove", container]), known))


def sweep(state: State) -> None:
    """Clean up after a stopped containerd: mounts, network namespaces, cgroups, link files."""
    unmount(RUNTIME)
    unmount(state.root / "kubelet")
    unmount(state.root / "containerd")
    shutil.rmtree(RUNTIME, ignore_errors=True)
    for kind in ("containers", "sandboxes"):
        shutil.rmtree(state.root / "containerd" / "io.containerd.grpc.v1.cri" / kind, ignore_errors=True)
    network.forget_cni_results()
    for top in _pod_cgroups():
        for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            _remove_empty(group)
        _remove_empty(top)
    logs = Path("/var/log/containers")  # the kubelet's one fixed place for links to the pods' logs
    if logs.is_dir():
        for link in logs.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(state.root):
                link.unlink()
        _remove_empty(logs)
    plugins = Path("/var/lib/kubelet/device-plugins")  # its fixed place for device plugins; we have none
    for name in ("kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION"):
        (plugins / name).unlink(missing_ok=True)
    for folder in (plugins, plugins.parent):
        _remove_empty(folder)


def processes_in_pods() -> list[Process]:
    """Return every process that still runs in a pod's cgroup."""
    pids = {
        int(line)
        for top in _pod_cgroups()
        for listing in top.rglob("cgroup.procs")
        for line in listing.read_text().split()
    }
    return [process for pid in pids if (process := Process.of(pid)) is not None]


def unmount(folder: Path) -> None:
    """Unmount everything at and below a folder, innermost first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    below = [point for point in points if Path(point).is_relative_to(folder)]
    for point in sorted(below, reverse=True):
        succeeds(["umount", "--lazy", point])


def _pod_cgroups() -> list[Path]:
    """The kubelet's cgroup, one for each controller with cgroups of version 1."""
    top = Path("/sys/fs/cgroup")
    return [path for path in (top / "kubepods", *top.glob("*/kubepods")) if path.is_dir()]


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it is not there, or holds files of another program
        folder.rmdir()
