"""Checks of this machine, before anything on it is changed: can it carry the local environment?"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import sys
from pathlib import Path

from ibfeed_local import layout, network, ports
from ibfeed_local.command import output
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State

DISK_FOR_BUILDS, DISK_FOR_RUNNING = 12, 2  # GB free
MEMORY = 4  # GB available: control plane 0.9, Kafka 0.5, workers 0.2 each and 0.5 more while one logs in


def machine() -> None:
    """Raise Problem unless this is a Linux machine with apt, and we are root."""
    if not sys.platform.startswith("linux"):
        raise ProblemError(f"the local cluster needs Linux; this is {sys.platform}", "Use a Debian 12 virtual machine.")
    if shutil.which("apt-get") is None:
        raise ProblemError(
            f"the local cluster needs Debian or Ubuntu: there is no apt-get on {_distribution()}",
            "Use a Debian 12 virtual machine, or your own cluster with CLUSTER=current.",
        )
    if os.geteuid() != 0:
        raise ProblemError(
            "the local cluster needs root (it makes namespaces, a bridge and mounts)", "Run it with sudo."
        )


def room(state: State) -> None:
    """Raise Problem if the disk is too full or memory is short."""
    built = (state.root / "steps" / "kubernetes").exists() and (state.root / "steps" / "base-image").exists()
    needed = DISK_FOR_RUNNING if built else DISK_FOR_BUILDS
    free = shutil.disk_usage(state.root).free / 1e9
    if free < needed:
        raise ProblemError(
            f"{state.root} has {free:.1f} GB free, and {needed} GB are needed",
            "Free some, or name a folder on another disk: IBFEED_STATE=/path make demo",
        )
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024 / 1e9
    if available < MEMORY:
        raise ProblemError(
            f"{available:.1f} GB of memory are available, and {MEMORY} GB are needed", "End some programs."
        )


def unclaimed() -> None:
    """Raise Problem if another program, network or Kubernetes is in the way. Ask only while our cluster is down."""
    taken = [
        f"port {port} ({component}) is taken by {listener.holder()}"
        for (address, port), component in layout.PORTS.items()
        for listener in ports.listeners()
        if listener.clashes(address, port)
    ]
    if taken:
        raise ProblemError("\n".join(taken), "Stop these first, or use your own cluster with CLUSTER=current.")
    if chains := network.kubernetes_chains():
        raise ProblemError(
            f"this machine already runs a Kubernetes node: iptables has its chains ({', '.join(chains[:3])}, ...)",
            "Use that cluster: CLUSTER=current make demo",
        )
    for range_ in (layout.POD_RANGE, layout.SERVICE_RANGE):
        for interface, address in _addresses():
            if address.ip in ipaddress.ip_network(range_) and interface != layout.BRIDGE:
                raise ProblemError(
                    f"interface {interface} has {address}, inside the local cluster's {range_}",
                    "Use your own cluster with CLUSTER=current.",
                )


def _addresses() -> list[tuple[str, ipaddress.IPv4Interface]]:
    if shutil.which("ip") is None:  # it comes with the packages, and this is asked again then
        return []
    links = json.loads(output(["ip", "-j", "-4", "address"]))
    return [
        (link["ifname"], ipaddress.IPv4Interface(f"{entry['local']}/{entry['prefixlen']}"))
        for link in links
        for entry in link["addr_info"]
    ]


def _distribution() -> str:
    release = Path("/etc/os-release")
    if release.is_file():
        for line in release.read_text().splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip('"')
    return "this machine"
