"""The cluster's certificates. Each start makes new ones, so none expires and no old one is trusted."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from ibfeed_local import layout
from ibfeed_local.command import output
from ibfeed_local.state import State, write

DAYS = "365"


@dataclass(frozen=True)
class Identity:
    """The owner of a certificate: its subject as openssl writes it, and the names of a server."""

    name: str
    subject: str
    serves: str = ""


API_SERVER = Identity(
    "apiserver",
    "/CN=kube-apiserver",
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
    f"DNS:kubernetes.default.svc.{layout.DOMAIN},DNS:localhost,"
    f"IP:127.0.0.1,IP:{layout.API_SERVICE},IP:{layout.NODE_ADDRESS}",
)
KUBELET = Identity(
    "node", f"/O=system:nodes/CN=system:node:{layout.NODE}", f"DNS:{layout.NODE},IP:{layout.NODE_ADDRESS},IP:127.0.0.1"
)
API_SERVER_TO_KUBELET = Identity("kubelet-client", "/CN=kube-apiserver-kubelet-client")
ADMINISTRATOR = Identity("admin", "/O=system:masters/CN=admin")
CONTROLLERS = Identity("controllers", "/CN=system:kube-controller-manager")
SCHEDULER = Identity("scheduler", "/CN=system:kube-scheduler")
PROXY = Identity("proxy", "/CN=system:kube-proxy")
DNS = Identity("dns", "/CN=system:coredns")

IDENTITIES = (API_SERVER, KUBELET, API_SERVER_TO_KUBELET, ADMINISTRATOR, CONTROLLERS, SCHEDULER, PROXY, DNS)
CLIENTS = (KUBELET, CONTROLLERS, SCHEDULER, PROXY, DNS)


def folder(state: State) -> Path:
    """Return the folder of the keys and certificates."""
    return state.run / "pki"


def kubeconfig(state: State, identity: Identity) -> Path:
    """Return the path of a component's client configuration."""
    return folder(state) / f"{identity.name}.conf"


def create(state: State) -> None:
    """Make the authority, a certificate for each identity, the service accounts' key and the client configurations."""
    target = folder(state)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700)
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    authority = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    output(
        [
            *("openssl", "req", "-x509", *new_key, "-days", DAYS, "-subj", "/CN=ibfeed-local", "-keyout", "ca.key"),
            *("-out", "ca.crt", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        ],
        folder=target,
    )
    for identity in IDENTITIES:
        name = identity.name
        extensions = ["extendedKeyUsage=clientAuth,serverAuth"]
        if identity.serves:
            extensions.append(f"subjectAltName={identity.serves}")
        write(target / f"{name}.ext", "\n".join(extensions) + "\n")
        output(
            ["openssl", "req", *new_key, "-subj", identity.subject, "-keyout", f"{name}.key", "-out", f"{name}.csr"],
            folder=target,
        )
        output(
            [
                *("openssl", "x509", "-req", "-in", f"{name}.csr", *authority, "-days", DAYS),
                *("-extfile", f"{name}.ext", "-out", f"{name}.crt"),
            ],
            folder=target,
        )
    output(["openssl", "genrsa", "-out", "sa.key", "2048"], folder=target)
    output(["openssl", "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"], folder=target)
    for identity in CLIENTS:
        write(kubeconfig(state, identity), _client(target, identity), mode=0o600)
    write(state.kubeconfig, _client(target, ADMINISTRATOR), mode=0o600)


def _client(target: Path, identity: Identity) -> str:
    """Return a kubeconfig with certificates and keys inside. It is JSON, which is YAML, too."""

    def embedded(name: str) -> str:
        return base64.b64encode((target / name).read_bytes()).decode()

    server = f"https://{layout.NODE_ADDRESS}:{layout.API_PORT}"
    user = {
        "client-certificate-data": embedded(f"{identity.name}.crt"),
        "client-key-data": embedded(f"{identity.name}.key"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "ibfeed-local",
        "clusters": [
            {"name": "ibfeed-local", "cluster": {"server": server, "certificate-authority-data": embedded("ca.crt")}}
        ],
        "users": [{"name": identity.name, "user": user}],
        "contexts": [{"name": "ibfeed-local", "context": {"cluster": "ibfeed-local", "user": identity.name}}],
    }
    return json.dumps(document, indent=1)
