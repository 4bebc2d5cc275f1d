"""The addresses, names and ports of the local cluster."""

from __future__ import annotations

from ibfeed_local.state import RUNTIME

NODE = "node0"
BRIDGE = "br-ibfeed"
NODE_ADDRESS = "10.244.0.1"  # of the bridge: pods and host reach it, no other machine does
POD_RANGE = "10.244.0.0/24"
FIRST_POD = "10.244.0.10"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"  # the first of the range: always the Service `kubernetes`
DOMAIN = "cluster.local"

API_PORT = 6443
KAFKA_PORT = 9092
KAFKA = f"{NODE_ADDRESS}:{KAFKA_PORT}"

CONTAINERD_SOCKET = RUNTIME / "containerd.sock"
CONTAINERD_STATE = RUNTIME / "containerd"
PAUSE_IMAGE = "ibfeed.local/pause:1"

# Everything that must be free before the cluster starts.
PORTS = {
    (NODE_ADDRESS, 53): "CoreDNS",
    ("127.0.0.1", 8181): "CoreDNS, readiness",
    ("127.0.0.1", 2379): "etcd",
    ("127.0.0.1", 2380): "etcd",
    (NODE_ADDRESS, API_PORT): "kube-apiserver",
    ("127.0.0.1", 10248): "kubelet",
    (NODE_ADDRESS, 10250): "kubelet",
    ("127.0.0.1", 10249): "kube-proxy",
    ("127.0.0.1", 10256): "kube-proxy",
    ("127.0.0.1", 10257): "kube-controller-manager",
    ("127.0.0.1", 10259): "kube-scheduler",
    (NODE_ADDRESS, KAFKA_PORT): "Kafka",
    ("127.0.0.1", 9093): "Kafka, controller",
}
