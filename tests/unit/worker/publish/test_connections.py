"""Connections that are reset, so that nothing written to them arrives any more."""

from __future__ import annotations

import contextlib
import socket

from ibfeed_worker.publish.connections import reset


def test_only_connections_to_the_ports_are_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        here = [socket.create_connection(server.getsockname()) for server in (one, other)]
        there = [server.accept()[0] for server in (one, other)]
        assert reset({one.getsockname()[1]}) == 1
        with contextlib.suppress(ConnectionResetError):
            assert there[0].recv(1) == b""
        here[1].sendall(b"x")
        assert there[1].recv(1) == b"x"
        for connection in (*here, *there):
            connection.close()


def test_what_was_not_delivered_is_dropped() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that the kernel keeps most of it
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as near:
            far, _ = server.accept()
            near.setblocking(False)
            sent = near.send(b"x" * 10_000_000)
            reset({server.getsockname()[1]})
            got = 0
            far.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                while data := far.recv(65536):
                    got += len(data)
            far.close()
    assert got < sent


def test_nothing_to_reset() -> None:
    assert reset({1}) == 0
