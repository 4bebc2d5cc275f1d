from __future__ import annotations

import os
import socket

import pytest

from ibfeed_local import layout, network, ports, preflight
from ibfeed_local.problem import ProblemError


@pytest.mark.parametrize(
    ("family", "address", "ours", "clashes"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1", True),
        (socket.AF_INET, "127.0.0.1", layout.NODE_ADDRESS, False),
        (socket.AF_INET, "0.0.0.0", layout.NODE_ADDRESS, True),
        (socket.AF_INET6, "::", "127.0.0.1", True),
    ],
)
def test_who_listens_where(family: int, address: str, ours: str, clashes: bool) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind((address, 0))
        listening.listen()
        port = listening.getsockname()[1]
        [found] = [listener for listener in ports.listeners() if listener.port == port]
        assert found.address == address
        assert found.clashes(ours, port) is clashes
        assert not found.clashes(ours, port + 1)
        assert f"process {os.getpid()} " in found.holder()


def test_a_port_taken_by_somebody_else_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setattr(layout, "PORTS", {("127.0.0.1", port): "kubelet"})
        with pytest.raises(ProblemError, match=rf"port {port} \(kubelet\) is taken by process {os.getpid()} "):
            preflight.unclaimed()


def test_taking_back_deletes_our_chains_and_the_ways_into_them_and_no_other_rule() -> None:
    saved = "\n".join(
        [
            "*filter",
            ":INPUT ACCEPT [12:840]",
            ":FORWARD DROP [0:0]",
            ":DOCKER-USER - [0:0]",
            ":KUBE-FIREWALL - [0:0]",
            ":KUBE-FORWARD - [0:0]",
            "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
            "-A INPUT -j KUBE-FIREWALL",
            "-A FORWARD -j DOCKER-USER",
            '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
            "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
            "-A KUBE-FORWARD -j KUBE-FIREWALL",
            "COMMIT",
        ]
    )
    assert network.removal("filter", saved).splitlines() == [
        "*filter",
        "-D INPUT -j KUBE-FIREWALL",
        '-D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        "-F KUBE-FIREWALL",
        "-F KUBE-FORWARD",
        "-X KUBE-FIREWALL",
        "-X KUBE-FORWARD",
        "COMMIT",
    ]
    assert network.removal("filter", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n") == ""
