"""The one node: kubelet, kube-proxy and the name server, as processes of this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path

from ibfeed_local import daemons, layout, pki
from ibfeed_local.command import output, succeeds, tail
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State, write

NAMES = ("coredns", "kube-proxy", "kubelet")  # in the order of stopping


def start(state: State) -> None:
    """Start each component that does not run.

    The API server must be ready, and the rights of `local/manifests/cluster.yaml` must be granted.
    """
    _start_kubelet(state)
    _start_proxy(state)
    _start_names(state)


def wait_until_ready(state: State) -> None:
    """Wait until pods can be made: the node is ready, and the controllers have made the first ServiceAccount."""
    kubectl: list[str | Path] = [state.kubectl, f"--kubeconfig={state.kubeconfig}"]
    template = '{range .status.conditions[?(@.type=="Ready")]}{.status}{end}'
    deadline = time.monotonic() + 90
    while not (
        succeeds([*kubectl, "get", "serviceaccount", "default"])
        and succeeds([*kubectl, "get", "node", layout.NODE])
        and output([*kubectl, "get", "node", layout.NODE, "-o", f"jsonpath={template}"]) == "True"
    ):
        daemons.require(state, *NAMES, "containerd", "kube-controller-manager")
        if time.monotonic() > deadline:
            raise ProblemError(f"the node was not ready within 90 s; {tail(state.log / 'kubelet.log')}")
        time.sleep(0.3)


def _start_kubelet(state: State) -> None:
    keys = pki.folder(state)
    resolver = state.run / "resolv.conf"  # pods inherit it, and so none of the machine's own names and search domains
    write(resolver, f"nameserver {layout.NODE_ADDRESS}\n")
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(keys / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(keys / "node.crt"),
        "tlsPrivateKeyFile": str(keys / "node.key"),
        "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "clusterDNS": [layout.NODE_ADDRESS],
        "clusterDomain": layout.DOMAIN,
        "resolvConf": str(resolver),
        "volumePluginDir": str(state.run / "volume-plugins"),
        "podLogsDir": str(state.log / "pods"),
        "containerLogMaxSize": "5Mi",
        "containerLogMaxFiles": 2,
        # Images come from no registry, so one that is collected could not be had again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "shutdownGracePeriod": "0s",
    }
    file = state.run / "kubelet.json"
    write(file, json.dumps(configuration, indent=1))
    _component(
        state,
        "kubelet",
        f"--config={file}",
        f"--kubeconfig={pki.kubeconfig(state, pki.KUBELET)}",
        f"--hostname-override={layout.NODE}",
        f"--node-ip={layout.NODE_ADDRESS}",
        f"--root-dir={state.root / 'kubelet'}",
    )


def _start_proxy(state: State) -> None:
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": layout.NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": str(pki.kubeconfig(state, pki.PROXY))},
        "hostnameOverride": layout.NODE,
        "clusterCIDR": layout.POD_RANGE,
        "mode": "iptables",
        # Otherwise it would change these for the whole machine.
        "iptables": {"localhostNodePorts": False},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    file = state.run / "kube-proxy.json"
    write(file, json.dumps(configuration, indent=1))
    _component(state, "kube-proxy", f"--config={file}")


def _start_names(state: State) -> None:
    """Start CoreDNS for the pods. It knows the cluster's names, and says of all others that they do not exist."""
    file = state.run / "Corefile"
    write(
        file,
        f"""{layout.DOMAIN} in-addr.arpa ip6.arpa {{
    bind {layout.NODE_ADDRESS}
    errors
    ready 127.0.0.1:8181
    cache 2
    kubernetes {{
        kubeconfig {pki.kubeconfig(state, pki.DNS)}
        ttl 2
    }}
}}
. {{
    bind {layout.NODE_ADDRESS}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
""",
    )
    _component(state, "coredns", "-conf", str(file))


def _component(state: State, name: str, *flags: str) -> None:
    daemons.start(state, name, [state.kube, name, *flags], folder=state.run)
