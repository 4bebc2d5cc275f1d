"""The pods' bridge and the kernel settings that Kubernetes changes. Only our own changes are taken back."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path

from ibfeed_local import layout
from ibfeed_local.command import output, succeeds
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State, write

# Settings that we and the kubelet change. `down` puts them back as they were.
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
FAMILIES = ("iptables", "ip6tables")
TABLES = ("filter", "nat", "mangle", "raw")
COMMENT = "ibfeed-local"
# Some machines drop unknown packets (Docker's FORWARD, a firewall's INPUT). They must let the bridge through.
ADMISSIONS = (
    ("INPUT", "-i"),
    ("FORWARD", "-i"),
    ("FORWARD", "-o"),
)


def up(state: State) -> None:
    """Make the bridge if there is none. Note the kernel's settings before the first change."""
    for module in ("overlay", "br_netfilter"):  # built in, or loaded here; one that is missing shows at its first use
        if shutil.which("modprobe"):
            succeeds(["modprobe", module])
    before = _noted(state)
    if not before.exists():
        settings = {name: _setting(name).read_text().strip() for name in SETTINGS if _setting(name).exists()}
        write(before, json.dumps(settings))
    if not Path(f"/sys/class/net/{layout.BRIDGE}").exists():
        output(["ip", "link", "add", layout.BRIDGE, "type", "bridge"])
    output(["ip", "address", "replace", f"{layout.NODE_ADDRESS}/24", "dev", layout.BRIDGE])
    output(["ip", "link", "set", layout.BRIDGE, "up"])
    _setting("net/ipv4/ip_forward").write_text("1")
    if _setting("net/bridge/bridge-nf-call-iptables").exists():
        # Without it, answers of a Service's pod to a pod on the same bridge are never translated back.
        _setting("net/bridge/bridge-nf-call-iptables").write_text("1")
    for rule in _admissions():
        if not succeeds(["iptables", "-w", "-C", *rule]):
            output(["iptables", "-w", "-I", *rule])


def down(state: State) -> None:
    """Take back the bridge, our rules, those of our Kubernetes, and the settings, if there are any."""
    before = _noted(state)
    if not before.exists():
        return
    for rule in _admissions():
        if succeeds(["iptables", "-w", "-C", *rule]):
            output(["iptables", "-w", "-D", *rule])
    _drop_kubernetes_rules()
    bridge = Path(f"/sys/class/net/{layout.BRIDGE}")
    if bridge.exists():
        # The kernel keeps a dead pod's namespace, and so its link, until the last connection in it has timed out.
        for link in (bridge / "brif").iterdir():
            if not succeeds(["ip", "link", "delete", link.name]) and link.exists():
                raise ProblemError(
                    f"network link {link.name} can't be removed: look at `ip link`, then run make down again"
                )
        output(["ip", "link", "delete", layout.BRIDGE])
    for name, value in json.loads(before.read_text()).items():
        if _setting(name).exists() and _setting(name).read_text().strip() != value:
            _setting(name).write_text(value)
    before.unlink()


def kubernetes_chains() -> list[str]:
    """Return the iptables chains that a kubelet or a kube-proxy has made on this machine."""
    return sorted(
        {chain for family in FAMILIES for table in TABLES for chain in chains_of_kubernetes(_saved(family, table))}
    )


def write_cni(state: State) -> Path:
    """Write the pods' network for containerd and return its folder. Pods reach each other and the node, no further."""
    folder = state.run / "cni"
    folder.mkdir(exist_ok=True)
    bridge = {
        "type": "bridge",
        "bridge": layout.BRIDGE,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(state.run / "addresses"),
            "ranges": [[{"subnet": layout.POD_RANGE, "rangeStart": layout.FIRST_POD}]],
        },
    }
    network = {"cniVersion": "0.4.0", "name": "ibfeed", "plugins": [bridge]}
    write(folder / "10-ibfeed.conflist", json.dumps(network))
    return folder


def forget_cni_results() -> None:
    """Delete the records of our pods that the CNI library keeps at its one fixed place."""
    for result in Path("/var/lib/cni/results").glob("ibfeed-*"):
        result.unlink()
    for folder in (Path("/var/lib/cni/results"), Path("/var/lib/cni")):
        with contextlib.suppress(OSError):  # it is not there, or holds results of another network
            folder.rmdir()


def _admissions() -> list[list[str]]:
    return [
        [chain, direction, layout.BRIDGE, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"]
        for chain, direction in ADMISSIONS
    ]


def chains_of_kubernetes(saved: str) -> list[str]:
    """Return the chains of kubelet and kube-proxy in a table as iptables-save prints it."""
    return re.findall(r"^:(KUBE-\S+)", saved, re.MULTILINE)


def removal(table: str, saved: str) -> str:
    """Return an iptables-restore script that deletes these chains and the rules that lead to them, and no others."""
    chains = chains_of_kubernetes(saved)
    if not chains:
        return ""
    jumps = [
        f"-D {rule.removeprefix('-A ')}"  # a rule is deleted by the words that it was appended by
        for rule in re.findall(r"^-A .*$", saved, re.MULTILINE)
        if re.search(r" -[jg] KUBE-", rule) and not rule.startswith("-A KUBE-")
    ]
    return "\n".join([f"*{table}", *jumps, *(f"-F {c}" for c in chains), *(f"-X {c}" for c in chains), "COMMIT", ""])


def _drop_kubernetes_rules() -> None:
    """Delete the chains, in one transaction a table. They are ours, because we start on no machine that has any."""
    for family in FAMILIES:
        for table in TABLES:
            if script := removal(table, _saved(family, table)):
                output([f"{family}-restore", "-w", "--noflush"], given=script)


def _saved(family: str, table: str) -> str:
    """Return a table's rules. The text is empty where the kernel lacks the family or the table."""
    if shutil.which(f"{family}-save") is None or not succeeds([f"{family}-save", "-t", table]):
        return ""
    return output([f"{family}-save", "-t", table])


def _setting(name: str) -> Path:
    return Path("/proc/sys") / name


def _noted(state: State) -> Path:
    return state.run / "kernel-settings.json"
