"""What one venue process costs with many streaming sessions.

    PYTHONPATH=simulator python benchmarks/simulator_scale.py --sessions 200 --contracts 50 --seconds 20

Sessions log in over TLS, subscribe and only count bytes; the venue's CPU and memory come from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

import aiohttp

PORT, CONTROL = 28543, 28181
ROOTS = "CL,NG,ES,NQ,GC,SI,HG,RB,HO,BZ,ZC,ZS"
FIELDS = '{"fields":["31","84","85","86","88","7059","7697","7762","6509"]}'
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / _TICKS


def resident(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def frame(text: str) -> bytes:
    """A masked text frame; the mask of zeroes is a mask, too."""
    payload = text.encode()
    if len(payload) < 126:
        return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload
    return bytes((0x81, 0xFE)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


class Count:
    received = 0


async def log_in(client: aiohttp.ClientSession, account: dict[str, str]) -> str:
    form = {"username": account["username"], "password": account["password"]}
    async with client.post("/sso/Dispatcher", data=form, allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())
    body = {"publish": True, "compete": True}
    async with client.post("/v1/api/iserver/auth/ssodh/init", json=body, headers={"Cookie": cookie}) as answer:
        assert answer.status == 200
    return cookie


async def stream(cookie: str, conids: list[int], tls: ssl.SSLContext, count: Count) -> None:
    reader, writer = await asyncio.open_connection("localhost", PORT, ssl=tls)
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        "GET /v1/api/ws HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Cookie: {cookie}",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    )
    writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"".join(frame(f"smd+{conid}+{FIELDS}") for conid in conids))
    while data := await reader.read(1 << 16):
        count.received += len(data)


async def measure(folder: Path, options: argparse.Namespace, pid: int) -> None:
    accounts = json.loads((folder / "users.json").read_text())["users"][: options.sessions]
    tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    count = Count()
    async with aiohttp.ClientSession(
        f"https://localhost:{PORT}", connector=aiohttp.TCPConnector(ssl=tls), cookie_jar=aiohttp.DummyCookieJar()
    ) as client:
        cookies = [await log_in(client, account) for account in accounts]
        async with client.get(f"/v1/api/trsrv/futures?symbols={ROOTS}", headers={"Cookie": cookies[0]}) as answer:
            listed = await answer.json()
    depth = -(-options.contracts // len(listed))
    conids = [entry["conid"] for entries in listed.values() for entry in entries[:depth]][: options.contracts]
    tasks = [asyncio.create_task(stream(cookie, conids, tls, count)) for cookie in cookies]
    await asyncio.sleep(10)  # connections, first frames
    before, bytes_before, begun, cursor = cpu(pid), count.received, time.monotonic(), truth_next()
    await asyncio.sleep(options.seconds)
    seconds = time.monotonic() - begun
    busy, received, entries = cpu(pid) - before, count.received - bytes_before, truth_next() - cursor
    for task in tasks:
        task.cancel()
    frames = entries * len(cookies) / seconds if options.mode == "common" else entries / seconds
    print(
        f"{len(cookies)} sessions x {len(conids)} contracts, {options.mode}: {frames:,.0f} frames/s,"
        f" {received / seconds / 1e6:.1f} MB/s, venue {100 * busy / seconds:.0f}% of a core,"
        f" {busy / seconds / frames * 1e6:.1f} us a frame, {resident(pid):.0f} MB"
    )


def truth_next() -> int:
    connection = HTTPConnection("127.0.0.1", CONTROL, timeout=30)
    connection.request("GET", "/control/state")
    found: int = json.loads(connection.getresponse().read())["truth_next"]
    connection.close()
    return found


def wait_until_ready() -> None:
    for _ in range(100):
        with contextlib.suppress(ConnectionError):
            truth_next()
            return
        time.sleep(0.2)
    raise SystemExit("the venue does not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--contracts", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--mode", choices=("common", "phased"), default="common")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bootstrap = ["-m", "ibfeed_simulator.bootstrap", "--count", str(options.sessions), "--directory", name]
        subprocess.run([sys.executable, *bootstrap], check=True)
        files = ["--tls-cert", f"{name}/tls.crt", "--tls-key", f"{name}/tls.key", "--users", f"{name}/users.json"]
        ports = ["--host", "127.0.0.1", "--port", str(PORT), "--control-port", str(CONTROL), "--mode", options.mode]
        venue = subprocess.Popen([sys.executable, "-m", "ibfeed_simulator", "venue", *ports, *files])
        try:
            wait_until_ready()
            asyncio.run(measure(folder, options, venue.pid))
        finally:
            venue.terminate()
            venue.wait(10)


if __name__ == "__main__":
    main()
