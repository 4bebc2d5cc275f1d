"""etcd, the API server, the controllers and the scheduler, as processes of this machine."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request

from ibfeed_local import daemons, layout, pki
from ibfeed_local.command import tail
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State

NAMES = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")  # in the order of stopping


def start(state: State) -> None:
    """Start each component that does not run, and wait until the API server is ready."""
    keys = pki.folder(state)
    etcd, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    _component(
        state,
        "etcd",
        f"--data-dir={state.run / 'etcd'}",
        f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",  # a stopped cluster is made again from nothing, so no data has to outlive a power cut
    )
    _component(
        state,
        "kube-apiserver",
        f"--etcd-servers={etcd}",
        f"--bind-address={layout.NODE_ADDRESS}",
        f"--advertise-address={layout.NODE_ADDRESS}",
        f"--secure-port={layout.API_PORT}",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--tls-cert-file={keys / 'apiserver.crt'}",
        f"--tls-private-key-file={keys / 'apiserver.key'}",
        f"--kubelet-client-certificate={keys / 'kubelet-client.crt'}",
        f"--kubelet-client-key={keys / 'kubelet-client.key'}",
        f"--kubelet-certificate-authority={keys / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={keys / 'sa.pub'}",
        f"--service-account-signing-key-file={keys / 'sa.key'}",
        f"--service-account-issuer=https://kubernetes.default.svc.{layout.DOMAIN}",
        f"--service-cluster-ip-range={layout.SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",  # PodSecurity is on by default
        "--profiling=false",
    )
    _wait_until_ready(state)
    _component(
        state,
        "kube-controller-manager",
        f"--kubeconfig={pki.kubeconfig(state, pki.CONTROLLERS)}",
        f"--service-account-private-key-file={keys / 'sa.key'}",
        f"--root-ca-file={keys / 'ca.crt'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    )
    _component(
        state,
        "kube-scheduler",
        f"--kubeconfig={pki.kubeconfig(state, pki.SCHEDULER)}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    )


def ready(state: State) -> bool:
    """Whether the API server says that it is ready."""
    keys = pki.folder(state)
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.load_cert_chain(keys / "admin.crt", keys / "admin.key")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(f"https://{layout.NODE_ADDRESS}:{layout.API_PORT}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _wait_until_ready(state: State) -> None:
    deadline = time.monotonic() + 90
    while not ready(state):
        daemons.require(state, "etcd", "kube-apiserver")
        if time.monotonic() > deadline:
            raise ProblemError(f"the API server was not ready within 90 s; {tail(state.log / 'kube-apiserver.log')}")
        time.sleep(0.2)


def _component(state: State, name: str, *flags: str) -> None:
    daemons.start(state, name, [state.kube, name, *flags], folder=state.run)
