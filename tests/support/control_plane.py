"""A control plane without nodes, for tests of the operator: etcd, kube-apiserver and two controllers, and no kubelet.

``support.hollow`` plays the kubelet and the workers. The control plane is apart from the tests' cluster, so that
workers can die, hang and be cut off at will. It is up in seconds.
"""

from __future__ import annotations

import contextlib
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.cluster import STATE
from support.ports import free_port

KUBE = STATE / "bin" / "kube"
ADMIN = "admin"
OPERATOR = "system:serviceaccount:ibfeed-system:ibfeed-operator"


@dataclass(frozen=True)
class ControlPlane:
    directory: Path

    def kubeconfig(self, user: str) -> Path:
        return self.directory / f"{user.rpartition(':')[2]}.conf"

    def kubectl(self, *words: str) -> str:
        command = [str(KUBE), "kubectl", "--kubeconfig", str(self.kubeconfig(ADMIN)), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@contextlib.contextmanager
def control_plane(
    directory: Path,
    manifests: Sequence[Path],
    *,
    users: Mapping[str, str] = MappingProxyType({}),
    options: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[ControlPlane]:
    """Start a control plane in ``directory`` on free ports of the loopback interface. It ends with the context.

    ``manifests`` are applied before the controllers start, because the garbage collector looks for new kinds only every
    30 s. ``users`` maps each further user, who gets a token and a kubeconfig, to groups, separated by commas.
    ``options`` are more flags of each program.
    """
    etcd, peer, api = (free_port() for _ in range(3))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (directory / "sa.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    groups = {
        ADMIN: "system:masters",
        OPERATOR: "system:serviceaccounts,system:serviceaccounts:ibfeed-system",
        **users,
    }
    tokens = {user: secrets.token_hex(16) for user in groups}
    lines = [f'{token},{user},{user},"{groups[user]}"' for user, token in tokens.items()]
    (directory / "tokens.csv").write_text("\n".join(lines) + "\n")
    plane = ControlPlane(directory)
    for user, token in tokens.items():
        plane.kubeconfig(user).write_text(yaml.safe_dump(_kubeconfig(f"https://127.0.0.1:{api}", token)))
    commands = {
        "etcd": [
            *("--data-dir", "etcd", "--unsafe-no-fsync", "--log-level", "error"),
            *(
                "--listen-client-urls",
                f"http://127.0.0.1:{etcd}",
                "--advertise-client-urls",
                f"http://127.0.0.1:{etcd}",
            ),
            *(
                "--listen-peer-urls",
                f"http://127.0.0.1:{peer}",
                "--initial-cluster",
                f"default=http://127.0.0.1:{peer}",
            ),
            *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
        ],
        "kube-apiserver": [
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={api}",
            "--cert-dir=certificates",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
        ],
        "kube-controller-manager": [
            f"--kubeconfig={plane.kubeconfig(ADMIN)}",
            "--controllers=statefulset-controller,garbage-collector-controller,disruption-controller",
            "--leader-elect=false",
            "--secure-port=0",
        ],
    }
    with contextlib.ExitStack() as stack:
        for name, arguments in commands.items():
            stack.enter_context(_running(directory, name, [*arguments, *options.get(name, ())]))
            if name == "kube-apiserver":
                _wait_ready(f"https://127.0.0.1:{api}/readyz", tokens[ADMIN])
                for manifest in manifests:
                    plane.kubectl("apply", "-f", str(manifest))
                plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        yield plane


@contextlib.contextmanager
def _running(directory: Path, name: str, arguments: list[str]) -> Iterator[None]:
    with (directory / f"{name}.log").open("wb") as log:
        # Linux shares processor time out by session. In the tests' session they would all get the share of one program.
        process = subprocess.Popen(
            [str(KUBE), name, *arguments], cwd=directory, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_ready(url: str, token: str) -> None:
    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(request, timeout=2, context=insecure):
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.2)
    raise AssertionError("the API server did not become ready within 60 s")


def _kubeconfig(server: str, token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
    }
