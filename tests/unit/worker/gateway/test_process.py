"""Gateway distributions, whole and broken, and their processes: shell scripts stand in for the Java program."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from ibfeed_worker.errors import SessionError
from ibfeed_worker.gateway import distribution, leftover, logback
from ibfeed_worker.gateway.distribution import DistributionError
from ibfeed_worker.gateway.keeper import GatewayKeeper
from ibfeed_worker.gateway.pin import CertificateError
from ibfeed_worker.gateway.process import GatewayFailedError, GatewaySettings, start
from ibfeed_worker.gateway.tail import Sign, sign_of
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.runtime.processes import descendants, start_time
from support.certificates import Certificate
from support.ports import free_port

# As IB's own distribution has it.
CONF = """
ip2loc: "US"
proxyRemoteSsl: true
proxyRemoteHost: "https://api.ibkr.com"
listenPort: 5000
listenSsl: true
svcEnvironment: "v1"
sslCert: "vertx.jks"
sslPwd: "mywebapi"
authDelay: 3000
portalBaseURL: ""
serverOptions:
  eventLoopPoolSize: 20
cors:
  origin.allowed: "*"
  allowCredentials: false
webApps:
  - name: "demo"
    index: "index.html"
ips:
  allow:
    - 10.*
    - 127.0.0.1
  deny:
    - 212.90.324.10
"""

# Listens as configured, with a helper process below it, as a shell in front of a JVM would be; and as IB's own it says
# so before it does.
SERVER = """
import ssl, sys, socket, subprocess, time
port = next(int(line.split(":")[1]) for line in open("root/conf.yaml") if line.startswith("listenPort"))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("root/gateway.pem")
helper = subprocess.Popen(["sleep", "600"])
print("noise é \\x00", flush=True)
print(f"Open https://localhost:{port} to login", flush=True)
time.sleep(0.3)
server = socket.create_server(("127.0.0.1", port))
while True:
    try:
        context.wrap_socket(server.accept()[0], server_side=True).close()
    except OSError:
        pass
"""


PLAIN = """
import socket
port = next(int(line.split(":")[1]) for line in open("root/conf.yaml") if line.startswith("listenPort"))
server = socket.create_server(("127.0.0.1", port))
print(f"Open https://localhost:{port} to login", flush=True)
while True:
    client, _ = server.accept()
    client.sendall(b"HTTP/1.1 400 Bad Request" + bytes(16))
    client.close()
"""


class Distribution:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = Certificate(folder.parent, "gateway")
        (folder / "bin").mkdir(parents=True)
        (folder / "root").mkdir()
        (folder / "lib").mkdir()
        (folder / "lib" / "server.py").write_text(SERVER)
        (folder / "root" / "conf.yaml").write_text(CONF)
        (folder / "root" / "gateway.pem").write_bytes(self.certificate.pem.read_bytes())
        (folder / "certificate.sha256").write_text(f"{self.certificate.sha256}  gateway.pem\n")
        self.script(f"{sys.executable} lib/server.py")

    def script(self, body: str) -> None:
        run = self.folder / "bin" / "run.sh"
        run.write_text(f"#!/bin/bash\n{body}\n")
        run.chmod(0o755)


@pytest.fixture
def built(tmp_path: Path) -> Distribution:
    return Distribution(tmp_path / "gateway")


LOGBACK = """
<configuration>
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <rollingPolicy class="ch.qos.logback.core.rolling.TimeBasedRollingPolicy">
      <fileNamePattern>logs/gw.%d{yyyy-MM-dd}.log</fileNamePattern>
    </rollingPolicy>
  </appender>
  <root level="DEBUG"><appender-ref ref="FILE"/></root>
</configuration>
"""


def test_the_gateway_logs_within_a_bound_and_no_frames(built: Distribution, tmp_path: Path) -> None:
    (built.folder / "root" / "logback.xml").write_text(LOGBACK)
    distribution.copy(built.folder, tmp_path / "copy", port=5000, upstream="https://api.example.com")
    found = ET.parse(tmp_path / "copy" / "root" / "logback.xml").getroot()
    (appender,) = found.iter("appender")
    megabytes, kept = appender.findtext(".//maxFileSize"), appender.findtext(".//maxIndex")
    assert (megabytes, kept) == ("10MB", "3")
    assert logback.MOST_BYTES == 40 << 20
    (root,) = found.iter("root")
    assert root.get("level") == "INFO"
    levels = {logger.get("name", "").rpartition(".")[2]: logger.get("level") for logger in found.iter("logger")}
    assert levels == {
        "HttpMessageLogger": "OFF",
        "CookieManager": "WARN",
        "GwWebsocketHandler": "WARN",
        "ClientPortalService": "WARN",
    }


def test_a_distribution_without_logback_gets_none(built: Distribution, tmp_path: Path) -> None:
    distribution.copy(built.folder, tmp_path / "copy", port=5000, upstream="https://api.example.com")
    assert not (tmp_path / "copy" / "root" / "logback.xml").exists()


@pytest.fixture
def settings(built: Distribution, tmp_path: Path) -> Iterator[GatewaySettings]:
    yield GatewaySettings(
        folder=built.folder,
        run_folder=tmp_path / "run",
        port=free_port(),
        upstream="https://api.example.com",
        extra_ca=None,
        certificate=None,
    )
    assert not (tmp_path / "run" / "gateway").exists(), "its files go with it"


def test_conf_keeps_every_key_of_the_distribution_and_adds_none() -> None:
    before = yaml.safe_load(CONF)
    after = yaml.safe_load(distribution.configured(CONF, port=5017, upstream="https://api.example.com"))
    assert set(after) == set(before)
    assert after["listenPort"] == 5017
    assert after["proxyRemoteHost"] == "https://api.example.com"
    assert after["ips"] == {"allow": ["127.0.0.1"], "deny": ["212.90.324.10"]}
    assert after["serverOptions"] == before["serverOptions"]


@pytest.mark.parametrize("conf", ["[", "just text", ""])
def test_a_conf_that_is_none(conf: str) -> None:
    with pytest.raises(DistributionError, match=r"conf\.yaml"):
        distribution.configured(conf, port=1, upstream="")


def test_whose_certificate(built: Distribution) -> None:
    colons = ":".join(["AB"] * 32)
    assert distribution.fingerprint(built.folder, colons) == "ab" * 32
    assert distribution.fingerprint(built.folder, None) == built.certificate.sha256
    (built.folder / "certificate.sha256").unlink()
    assert distribution.fingerprint(built.folder, None) == distribution.IB_CERTIFICATE
    with pytest.raises(DistributionError, match=r"spec\.gateway\.certificateSHA256"):
        distribution.fingerprint(built.folder, "12:34")


def test_the_trust_store_has_the_systems_cas_and_the_extra_one(built: Distribution, tmp_path: Path) -> None:
    store, pem = distribution.trust(built.certificate.pem, tmp_path)
    entries = pem.read_text().count("BEGIN CERTIFICATE")
    assert entries > 50
    assert built.certificate.pem.read_text() in pem.read_text()
    done = subprocess.run(
        ["keytool", "-list", "-keystore", str(store), "-storepass", distribution.TRUST_STORE_PASSWORD],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("trustedCertEntry") == entries, "Java must see trust anchors, not mere certificates"


def test_an_extra_ca_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(DistributionError, match="extraCA"):
        distribution.trust(tmp_path / "ca.crt", tmp_path)


async def test_it_starts_shows_its_certificate_and_leaves_nothing(settings: GatewaySettings) -> None:
    gateway = await start(settings)
    below = descendants(os.getpid())
    marks = {pid: start_time(pid) for pid in below}
    assert len(below) >= 3, "shell, server, helper"
    assert gateway.tls.spki
    await gateway.stop()
    assert gateway.died.is_set()
    async with asyncio.timeout(5):  # what was killed dies when it is given a processor next
        while [pid for pid, mark in marks.items() if start_time(pid) == mark]:  # noqa: ASYNC110 - orphans tell nobody
            await asyncio.sleep(0.01)


async def test_one_that_says_it_listens_and_does_not_is_named(settings: GatewaySettings, built: Distribution) -> None:
    built.script("echo Open https://localhost:5000 to login; sleep 600")
    says = f"says that it listens, but port {settings.port} did not take a TLS connection within 1 s .*refused"
    with pytest.raises(GatewayFailedError, match=says):
        await start(settings, limit=1.0)


async def test_one_that_speaks_no_tls_is_named(settings: GatewaySettings, built: Distribution) -> None:
    (built.folder / "lib" / "server.py").write_text(PLAIN)
    with pytest.raises(GatewayFailedError, match="did not take a TLS connection within 2 s"):
        await start(settings, limit=2.0)


async def test_its_death_between_saying_and_listening_is_named(settings: GatewaySettings, built: Distribution) -> None:
    built.script("echo Open https://localhost:5000 to login; sleep 0.2; exit 4")
    with pytest.raises(DistributionError, match="ended at once with exit status 4"):
        await start(settings)


async def test_its_death_is_seen_at_once(settings: GatewaySettings) -> None:
    gateway = await start(settings)
    kill_below(gateway.pid)
    async with asyncio.timeout(5):
        await gateway.died.wait()
    await gateway.stop()


def kill_below(pid: int) -> None:
    for child in descendants(pid):
        os.kill(child, signal.SIGKILL)


async def test_a_wrong_certificate_stops_it(settings: GatewaySettings, built: Distribution) -> None:
    (built.folder / "certificate.sha256").write_text("00" * 32)
    with pytest.raises(CertificateError):
        await start(settings)
    assert not descendants(os.getpid())


@pytest.mark.parametrize(
    ("breakage", "says"),
    [
        ("no run.sh", r"no bin/run\.sh"),
        ("not executable", "not executable"),
        ("no conf", r"no root/conf\.yaml"),
        ("exits", "ended at once with exit status 3; it last said: unknown key tickleDelay"),
        ("no interpreter", "can't be run"),
    ],
)
async def test_a_broken_archive_is_named(
    settings: GatewaySettings, built: Distribution, breakage: str, says: str
) -> None:
    run = built.folder / "bin" / "run.sh"
    match breakage:
        case "no run.sh":
            run.unlink()
        case "not executable":
            run.chmod(0o644)
        case "no conf":
            (built.folder / "root" / "conf.yaml").unlink()
        case "exits":
            built.script("echo unknown key tickleDelay >&2; exit 3")
        case _:
            run.write_text("#!/no/such/shell\n")
    keeper = GatewayKeeper(settings, Metrics())
    with pytest.raises(SessionError, match=says) as caught:
        await keeper.running()
    assert caught.value.reason == "GatewayBroken"
    await keeper.stop()


@pytest.mark.parametrize(
    ("line", "sign"),
    [
        ("Open https://localhost:5000 to login", Sign.WELL),
        ("12:00:00.1 INFO i.v.c: 0 errors so far", Sign.WELL),
        ("12:00:00.1 ERROR i.b.g.Vertx: java.lang.NullPointerException", Sign.ERROR),
        ("java.net.UnknownHostException: api.ibkr.com", Sign.ERROR),
        ('Exception in thread "vert.x" java.lang.OutOfMemoryError: Java heap space', Sign.FATAL),
        ("java.net.BindException: Address already in use", Sign.FATAL),
    ],
)
def test_what_a_line_of_the_log_tells(line: str, sign: Sign) -> None:
    assert sign_of(line) is sign


async def test_a_gateway_that_lives_on_without_memory_is_sick(settings: GatewaySettings, built: Distribution) -> None:
    serve = f"{sys.executable} lib/server.py"
    built.script(f"{serve} & while [ ! -e sick ]; do sleep 0.05; done; echo java.lang.OutOfMemoryError: heap; wait")
    metrics = Metrics()
    keeper = GatewayKeeper(settings, metrics)
    gateway = await keeper.running()
    assert not gateway.sick.is_set()
    (settings.run_folder / "gateway" / "home" / "sick").touch()
    async with asyncio.timeout(20):
        await gateway.sick.wait()
    assert (gateway.complaint, gateway.died.is_set()) == ("java.lang.OutOfMemoryError: heap", False)
    assert metrics.registry.get_sample_value("ibfeed_gateway_log_lines_total", {"sign": "fatal"}) == 1
    await keeper.stop()


async def test_one_that_is_sick_before_it_listens_is_not_waited_for(
    settings: GatewaySettings, built: Distribution
) -> None:
    built.script("echo java.net.BindException: Address already in use; sleep 600")
    keeper = GatewayKeeper(settings, Metrics())
    async with asyncio.timeout(20):
        with pytest.raises(SessionError, match="Address already in use") as caught:
            await keeper.running()
    assert caught.value.reason == "GatewayDied"


async def test_a_taken_port_has_a_name(settings: GatewaySettings) -> None:
    taken = socket.create_server(("127.0.0.1", settings.port))
    with taken, pytest.raises(SessionError, match=str(settings.port)) as caught:
        await GatewayKeeper(settings, Metrics()).running()
    assert caught.value.reason == "GatewayPortTaken"


async def test_the_keeper_starts_a_dead_gateway_again(settings: GatewaySettings) -> None:
    keeper = GatewayKeeper(settings, Metrics())
    first = await keeper.running()
    assert keeper.is_up
    assert await keeper.running() is first
    kill_below(first.pid)
    await first.died.wait()
    assert not keeper.is_up
    second = await keeper.running()
    assert second is not first
    await keeper.stop()
    assert second.died.is_set()


def test_only_our_own_leftover_is_ended(tmp_path: Path) -> None:
    port = free_port()
    script = f"import socket,time; s=socket.create_server(('', {port})); print('up', flush=True); time.sleep(60)"
    note = tmp_path / "note.json"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(leftover.PortTakenError, match=str(port)):
            leftover.free(note, port)
        note.write_text(json.dumps({"pid": other.pid, "start": 1}))  # a recycled pid
        with pytest.raises(leftover.PortTakenError):
            leftover.free(note, port)
        assert other.poll() is None
        leftover.note(note, other.pid)
        leftover.free(note, port)
        assert other.wait(5) == -9
