"""The gateway is trusted by its certificate's fingerprint, and by nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from ibfeed_worker.gateway.pin import CertificateError, pin, trusting
from support.certificates import Certificate
from support.ports import free_port


@asynccontextmanager
async def serving(certificate: Certificate) -> AsyncIterator[int]:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.server_context())
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def ask(port: int, certificate: Certificate) -> str:
    async with httpx.AsyncClient(verify=trusting(certificate.der).context, trust_env=False) as client:
        return (await client.get(f"https://127.0.0.1:{port}/")).text


async def test_an_expired_certificate_for_no_name_is_trusted_by_its_fingerprint(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "Client Portal Web API")
    async with serving(certificate) as port:
        tls = await pin("127.0.0.1", port, certificate.sha256)
        async with httpx.AsyncClient(verify=tls.context, trust_env=False) as client:
            assert (await client.get(f"https://127.0.0.1:{port}/")).text == "hello"
    assert len(tls.spki) == 44


async def test_another_certificate_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    shown, expected = Certificate(tmp_path, "same name"), Certificate(tmp_path, "same name")
    async with serving(shown) as port:
        with pytest.raises(CertificateError, match=shown.sha256):
            await pin("127.0.0.1", port, expected.sha256)


async def test_a_certificate_that_changes_after_the_pinning_is_refused(tmp_path: Path) -> None:
    pinned, other = Certificate(tmp_path, "same name"), Certificate(tmp_path, "same name", expired=False)
    async with serving(other) as port:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await ask(port, pinned)


async def test_nobody_there() -> None:
    with pytest.raises(OSError):
        await pin("127.0.0.1", free_port(), "00" * 32)


async def test_a_port_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        with pytest.raises((OSError, TimeoutError)):
            await pin("127.0.0.1", server.sockets[0].getsockname()[1], "00" * 32)
