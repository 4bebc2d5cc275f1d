"""The proxy that the environment names, and the tunnel through it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ibfeed_worker.gateway.tunnel import LISTEN, Tunnel, TunnelClosedError
from ibfeed_worker.runtime.proxies import HttpProxy, ProxyError, for_children, proxy_for
from support.certificates import Certificate
from support.connect_proxy import ConnectProxy
from support.ports import free_port

IB = ("api.ibkr.com", 443)
PROXY = HttpProxy("proxy.example.com", 3128)
SECRET = base64.b64encode(b"me:p@ss").decode()


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("http://proxy.example.com:3128", PROXY),
        ("proxy.example.com:3128", PROXY),
        ("http://proxy.example.com", PROXY),
        ("http://proxy.example.com:3128/", PROXY),
        ("https://proxy.example.com", HttpProxy("proxy.example.com", 443, tls=True)),
        ("http://me:p%40ss@proxy.example.com:8080", HttpProxy("proxy.example.com", 8080, False, f"Basic {SECRET}")),
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_address_of_the_proxy_is_read(name: str, value: str, proxy: HttpProxy) -> None:
    assert proxy_for(*IB, {name: value}) == proxy


@pytest.mark.parametrize("environment", [{}, {"HTTPS_PROXY": ""}, {"HTTP_PROXY": "http://proxy.example.com"}])
def test_without_a_proxy_for_tls_the_connection_is_direct(environment: dict[str, str]) -> None:
    assert proxy_for(*IB, environment) is None


@pytest.mark.parametrize(
    ("host", "exceptions", "direct"),
    [
        ("api.ibkr.com", "ibkr.com", True),
        ("api.ibkr.com", ".ibkr.com", True),
        ("api.ibkr.com", "*.ibkr.com", True),
        ("api.ibkr.com", "*", True),
        ("API.ibkr.com", "other.com, api.IBKR.com", True),
        ("api.ibkr.com", "ibkr.com:443", True),
        ("api.ibkr.com", "ibkr.com:8443", False),
        ("api.ibkr.com", "kr.com", False),
        ("api.ibkr.com", "", False),
        ("api.ibkr.com", ",", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("fd00::1", "fd00::/8", True),
    ],
)
def test_exceptions_are_obeyed(host: str, exceptions: str, direct: bool) -> None:
    environment = {"HTTPS_PROXY": "http://proxy.example.com:3128", "NO_PROXY": exceptions}
    assert (proxy_for(host, 443, environment) is None) is direct


@pytest.mark.parametrize(
    "value", ["socks5://me:p4ss@proxy:1080", "http://", "http://me:p4ss@proxy:port", "http://:3128"]
)
def test_address_that_is_none_is_refused_without_its_password(value: str) -> None:
    with pytest.raises(ProxyError, match="HTTPS_PROXY") as caught:
        proxy_for(*IB, {"HTTPS_PROXY": value})
    assert "p4ss" not in str(caught.value)


def test_password_is_in_no_text_of_a_proxy() -> None:
    proxy = proxy_for(*IB, {"HTTPS_PROXY": "http://me:p%40ss@proxy:8080"})
    assert proxy is not None
    assert SECRET not in f"{proxy!r} {proxy}"


def test_children_use_no_proxy_for_this_node() -> None:
    environment = for_children({"HTTPS_PROXY": "x", "NO_PROXY": ".svc, localhost", "OTHER": "y"})
    assert environment["NO_PROXY"] == environment["no_proxy"] == ".svc,localhost,127.0.0.1,::1,169.254.169.254"
    assert environment["HTTPS_PROXY"] == "x"
    assert environment["OTHER"] == "y"


class Upstream:
    """A TLS server that answers each line in capitals, and a tunnel to it under another name."""

    def __init__(self, folder: Path) -> None:
        self.certificate = Certificate(folder, "upstream")
        self.port = 0
        self.name = f"api.example.com:{free_port()}"

    async def serve(self) -> asyncio.Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.pem)
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async def ask(self, tunnel: Tunnel) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(LISTEN, tunnel.port, ssl=context, server_hostname=tunnel.host)
        writer.write(b"hello\n")
        answer = await reader.read()
        writer.close()
        return answer


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    upstream = Upstream(tmp_path)
    server = await upstream.serve()
    yield upstream
    server.close()


async def test_connections_go_through_the_proxy(upstream: Upstream) -> None:
    with ConnectProxy({upstream.name: upstream.port}, f"Basic {SECRET}") as proxy:
        tunnel = Tunnel(HttpProxy("127.0.0.1", proxy.port, False, f"Basic {SECRET}"), f"https://{upstream.name}")
        await tunnel.open()
        await tunnel.open()  # a second gateway
        assert await upstream.ask(tunnel) == b"HELLO\n"
        assert await upstream.ask(tunnel) == b"HELLO\n"
        assert proxy.targets == [upstream.name] * 2
        assert tunnel.trouble == ""
        await tunnel.close()


@pytest.mark.parametrize(
    ("allowed", "credentials", "says"),
    [(False, "", "403 Forbidden; allow this address"), (True, "Basic x", "407 Proxy Authentication Required; take")],
)
async def test_refusal_of_the_proxy_is_told(upstream: Upstream, allowed: bool, credentials: str, says: str) -> None:
    with ConnectProxy({upstream.name: upstream.port} if allowed else {}, credentials) as proxy:
        tunnel = Tunnel(HttpProxy("127.0.0.1", proxy.port), f"https://{upstream.name}")
        await tunnel.open()
        with pytest.raises(OSError):
            await upstream.ask(tunnel)
        assert says in tunnel.trouble
        assert f"127.0.0.1:{proxy.port} opens no tunnel to {upstream.name}" in tunnel.trouble
        await tunnel.close()


async def test_proxy_that_is_away_is_told_until_it_is_back(upstream: Upstream) -> None:
    with ConnectProxy({upstream.name: upstream.port}) as proxy:
        tunnel = Tunnel(HttpProxy("127.0.0.1", free_port()), f"https://{upstream.name}")
        await tunnel.open()
        with pytest.raises(OSError):
            await upstream.ask(tunnel)
        assert "can't be reached" in tunnel.trouble
        assert "check HTTPS_PROXY" in tunnel.trouble
        tunnel._proxy = HttpProxy("127.0.0.1", proxy.port)
        assert await upstream.ask(tunnel) == b"HELLO\n"
        assert tunnel.trouble == ""
        await tunnel.close()


async def test_port_that_is_taken_is_explained() -> None:
    taken = await asyncio.start_server(lambda *_: None, LISTEN, 0)
    port = taken.sockets[0].getsockname()[1]
    tunnel = Tunnel(PROXY, f"https://api.example.com:{port}")
    with pytest.raises(TunnelClosedError, match=r"net\.ipv4\.ip_unprivileged_port_start"):
        await tunnel.open()
    taken.close()


def test_names_that_the_gateway_is_given(tmp_path: Path) -> None:
    text = Tunnel(PROXY, "https://api.ibkr.com").write_hosts(tmp_path / "hosts").read_text()
    assert text.splitlines()[0] == "127.0.0.1 api.ibkr.com"
    assert "127.0.0.1 localhost" in text
