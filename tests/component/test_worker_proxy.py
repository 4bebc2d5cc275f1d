"""A worker whose way to IB leads through a proxy: the venue has a name that only the proxy knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.cluster import eventually
from support.connect_proxy import ConnectProxy
from support.ports import free_port
from support.stream import Tap
from support.worker import Stage, entry

HOST = "ib-api.ibfeed-simulator.svc"  # one of the names on the venue's certificate


@pytest.fixture
def target() -> str:
    """The venue as the worker knows it. The port is one that nobody listens on."""
    return f"{HOST}:{free_port()}"


@pytest.fixture
def proxy(stage: Stage, target: str) -> Iterator[ConnectProxy]:
    with ConnectProxy({target: stage.venue.port}, "Basic bWU6cDRzcw==") as proxy:
        yield proxy


def test_worker_streams_through_a_proxy(stage: Stage, target: str, proxy: ConnectProxy) -> None:
    environment = {"HTTPS_PROXY": f"http://me:p4ss@127.0.0.1:{proxy.port}", "NO_PROXY": ".cluster.local"}
    with stage.worker(upstream=f"https://{target}", environment=environment) as worker:
        worker.until("Streaming", within=40)
        contracts = worker.resolve("CL", 2).json()["contracts"]
        worker.give(1, [entry(contract, slot=slot) for slot, contract in enumerate(contracts)])
        with Tap(stage.topics.ticklast.name) as tap:
            wanted = {contract["conid"] for contract in contracts}
            eventually(lambda: set(tap.by_contract()) == wanted, within=20, what="ticks on Kafka")
        # Not the gateway on the loopback interface, not the API server, not the browser's own background.
        assert set(proxy.targets) == {target}
        log = worker.log.read_text()
        assert "IB is reached through a proxy" in log
        assert "p4ss" not in log
        assert "bWU6cDRzcw" not in log


def test_proxy_that_refuses_is_named(stage: Stage, target: str, proxy: ConnectProxy) -> None:
    environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
    with stage.worker(upstream=f"https://{target}", environment=environment) as worker:
        status = eventually(
            lambda: s if (s := worker.status()).get("reason") == "UpstreamUnreachable" else None,
            within=60,
            what="the worker says that IB cannot be reached",
        )
        assert f"the proxy 127.0.0.1:{proxy.port} opens no tunnel to {target}" in status["message"]
        assert "407 Proxy Authentication Required" in status["message"]


def test_address_of_a_proxy_that_is_none_is_named(stage: Stage, target: str) -> None:
    environment = {"HTTPS_PROXY": "socks5://me:p4ss@proxy.example.com:1080"}
    with stage.worker(upstream=f"https://{target}", environment=environment) as worker:
        status = worker.until("BackingOff", within=30)
        assert status["reason"] == "UpstreamUnreachable"
        assert "HTTPS_PROXY names a socks5 proxy" in status["message"]
        assert "p4ss" not in worker.log.read_text()
