"""What an address is like from here, told by real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ibfeed_worker.publish import reach
from ibfeed_worker.publish.reach import look_at, split
from ibfeed_worker.publish.trouble import Fault
from support.authority import Authority

OURS = Authority()


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server whose connections ``answer`` serves; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with suppress(OSError), connection:
                        answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def tls(folder: Path, *hosts: str, days: int = 10) -> Callable[[socket.socket], None]:
    certificate, key = OURS.issue("kafka", *hosts, days=days)
    (folder / "server.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")

    def answer(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).close()

    return answer


def kafka_without_tls(connection: socket.socket) -> None:
    """Takes the first bytes of a handshake for a request that is too large, and hangs up."""
    connection.recv(1000)


@pytest.mark.parametrize(
    ("hosts", "days", "authority", "fault", "detail"),
    [
        (("127.0.0.1",), 10, OURS, Fault.NONE, ""),
        (("127.0.0.1",), 10, Authority("other"), Fault.UNTRUSTED, "unable to get local issuer certificate"),
        (("kafka.example",), 10, OURS, Fault.NAMED_OTHERWISE, "not valid for '127.0.0.1'"),
        (("127.0.0.1",), -3, OURS, Fault.EXPIRED, "certificate has expired"),
    ],
    ids=["fine", "unknown CA", "another name", "expired"],
)
def test_a_certificate(
    tmp_path: Path, hosts: tuple[str, ...], days: int, authority: Authority, fault: Fault, detail: str
) -> None:
    with serving(tls(tmp_path, *hosts, days=days)) as address:
        found = look_at(address, tls=True, authority=authority.pem.decode())
    assert (found.address, found.fault) == (address, fault)
    assert detail in found.detail


def test_names_are_not_checked_where_the_feed_says_so(tmp_path: Path) -> None:
    with serving(tls(tmp_path, "kafka.example")) as address:
        assert look_at(address, tls=True, authority=OURS.pem.decode(), check_name=False).fault is Fault.NONE


def test_who_speaks_tls_and_who_does_not(tmp_path: Path) -> None:
    with serving(tls(tmp_path, "127.0.0.1")) as address:
        assert look_at(address, tls=False).fault is Fault.SPEAKS_TLS
    with serving(kafka_without_tls) as address:
        assert look_at(address, tls=True, authority=OURS.pem.decode()).fault is Fault.SPEAKS_PLAIN
        assert look_at(address, tls=False).fault is Fault.NONE


def test_who_takes_a_connection_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "LIMIT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert look_at(address, tls=True).fault is Fault.UNANSWERED
        assert look_at(address, tls=False).fault is Fault.NONE


def test_who_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    assert look_at(address, tls=False).fault is Fault.REFUSED
    assert look_at("nowhere.invalid:9092", tls=False).fault is Fault.UNRESOLVED
    assert look_at("[::1]:1", tls=False).fault in (Fault.REFUSED, Fault.UNROUTED)


def test_host_and_port() -> None:
    assert split("[2001:db8::7]:9092") == ("2001:db8::7", 9092)
    assert split("kafka-0.kafka:9092") == ("kafka-0.kafka", 9092)
