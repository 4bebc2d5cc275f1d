"""The stand-in's parts; as a process it is tested with the component tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ibfeed_simulator import distribution
from ibfeed_simulator.gateway import logs
from ibfeed_simulator.gateway.conf import Addresses, ConfigurationError, load
from ibfeed_simulator.gateway.cookies import CookieStore
from ibfeed_simulator.gateway.hosts import Resolver
from ibfeed_simulator.gateway.proxy import recoded
from ibfeed_simulator.gateway.upstream_socket import Piece


def written(folder: Path, **changes: object) -> Path:
    path = folder / "conf.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(distribution._CONF), **changes}))
    return path


def test_the_distribution_s_configuration(tmp_path: Path) -> None:
    configuration = load(written(tmp_path))
    assert (configuration.port, configuration.remote, configuration.auth_delay) == (5000, "https://api.ibkr.com", 3.0)
    assert configuration.certificate == tmp_path / "gateway.pem"


def test_a_key_that_it_does_not_know_stops_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="tickleDelay"):
        load(written(tmp_path, tickleDelay=1))


@pytest.mark.parametrize("text", ["- a list", "listenPort: [", "listenPort: many"])
def test_broken_files_are_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "conf.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"conf\.yaml"):
        load(tmp_path / "conf.yaml")


@pytest.mark.parametrize(
    ("host", "prefix"), [("https://ib-api.example", "/v1/api"), ("https://venue.example", "/v1/portal")]
)
def test_the_prefix_follows_the_host_s_name(tmp_path: Path, host: str, prefix: str) -> None:
    assert load(written(tmp_path, proxyRemoteHost=host)).api == prefix


SMALL_LOGBACK = """
<configuration>
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>logs/small.log</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>logs/small.%i.log</fileNamePattern>
      <minIndex>1</minIndex>
      <maxIndex>2</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>1KB</maxFileSize>
    </triggeringPolicy>
  </appender>
  <logger name="ibgroup.web.core.clientportal.gw.core.CookieManager" level="WARN"/>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"""


@pytest.fixture
def log_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the gateway runs; its loggers are the process's own, and are as before afterwards."""
    monkeypatch.chdir(tmp_path)
    loggers = [logs.requests, logs.websocket, logs.cookies, logs.messages, logging.getLogger(logs._ROOT)]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    yield tmp_path
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        for handler in logger.handlers:
            handler.close()
        logger.level, logger.propagate, logger.handlers = level, propagate, handlers
        manager: Any = logger.manager
        manager._clear_cache()


def written_logs(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted((folder / "logs").iterdir()))


def say_something() -> None:
    logs.requests.info("-> GET /tickle,200")
    logs.cookies.info("set cookies %s", ["XYZAB=secret"])
    logs.websocket.debug("Websocket Proxy response body: %s", b"a frame")
    logs.messages.info("-> GET /tickle")


def test_it_logs_frames_and_cookies_as_the_real_one_does(log_folder: Path) -> None:
    (log_folder / "logback.xml").write_text(distribution._LOGBACK)
    logs.open_logs(log_folder / "logback.xml")
    say_something()
    text = written_logs(log_folder)
    assert all(word in text for word in ("/tickle", "XYZAB=secret", "a frame"))
    assert {path.name[:10] for path in (log_folder / "logs").iterdir()} == {
        "gw.message",
        f"gw.{datetime.now(UTC):%Y-%m}",
    }


def test_a_configuration_of_its_log_is_obeyed(log_folder: Path) -> None:
    (log_folder / "logback.xml").write_text(SMALL_LOGBACK)
    logs.open_logs(log_folder / "logback.xml")
    for _ in range(200):
        say_something()
    text = written_logs(log_folder)
    assert "/tickle" in text
    assert "XYZAB" not in text
    assert "a frame" not in text
    assert len(text) <= 3 * 1024


def test_without_a_configuration_nothing_is_logged(log_folder: Path) -> None:
    logs.open_logs(log_folder / "logback.xml")
    say_something()
    assert not (log_folder / "logs").exists()


def test_addresses() -> None:
    addresses = Addresses(allow=("10.*", "127.0.0.1"), deny=("10.9.*",))
    assert addresses.admit("10.1.2.3")
    assert not addresses.admit("10.9.0.1")
    assert not addresses.admit("192.168.0.1")
    assert Addresses().admit("192.168.0.1")


async def test_names_come_from_the_jvm_s_file_and_from_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts").write_text("# ours\n127.0.0.7 api.example.com www.example.com\n")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", f"-Xmx256m -Djdk.net.hosts.file={tmp_path / 'hosts'} -Dx=y")
    resolver = Resolver()
    assert resolver.address("www.example.com") == "127.0.0.7"
    assert [found["host"] for found in await resolver.resolve("api.example.com", 443)] == ["127.0.0.7"]
    with pytest.raises(OSError, match="UnknownHostException localhost"):
        await resolver.resolve("localhost", 443)
    monkeypatch.delenv("JAVA_TOOL_OPTIONS")
    assert Resolver().address("api.example.com") == "api.example.com"


def test_it_keeps_only_cookies_that_it_knows() -> None:
    store = CookieStore()
    store.store_set_cookies(["XYZAB=1; Path=/; Secure", "x-sess-uuid=2; Path=/v1/api", "USERID=3", "\x00"])
    assert store.header() == "XYZAB=1; USERID=3"
    store.store_set_cookies(["XYZAB=9"])
    assert store.header() == "XYZAB=9; USERID=3"


def test_text_is_recoded_so_that_it_may_be_no_utf_8() -> None:
    assert recoded(Piece(True, "café".encode())) == b"caf\xe9"
    assert recoded(Piece(True, b'{"a":1}')) == b'{"a":1}'
    assert recoded(Piece(False, "é".encode())) == "é".encode()


def test_the_vendored_packages_are_those_that_were_locked() -> None:
    text = distribution.pinned(distribution._REQUIREMENTS.read_text())
    assert text.count("==") == len(distribution.NEEDED)
    assert "cryptography" not in text
    with pytest.raises(distribution.BuildError, match="yarl"):
        distribution.pinned("aiohttp==1 \\\n    --hash=sha256:00\n")
