"""ClickHouse's engine for one test: a process with ports of its own, to be stopped, killed and started again.

It is the engine of the chdb project behind ClickHouse's own listeners, and no ClickHouse server: see
``docs/clickhouse.md``.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from ibfeed.clickhouse import Access
from ibfeed_local import clickhouse
from ibfeed_local.state import State
from support.cluster import STATE
from support.ports import free_port

ADMIN: Final = "admin"
PASSWORD: Final = "tests-only-5b1e"  # of every user
_ENGINE: Final = Path(__file__).with_name("clickhouse_engine.py")
# The last query keeps the process alive. Without it the program would end.
_STAY: Final = (
    "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT sleepEachRow(3) FROM numbers(100000) FORMAT Null"
    " SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_execution_time = 0"
)
# With the defaults Kafka would wait 45 s for a consumer that was killed, and up to 0.5 s for records to come together.
_CONFIG: Final = """<clickhouse>
  <kafka>
    <session_timeout_ms>6000</session_timeout_ms>
    <heartbeat_interval_ms>1000</heartbeat_interval_ms>
    <fetch_wait_max_ms>50</fetch_wait_max_ms>
    <metadata_max_age_ms>5000</metadata_max_age_ms>
  </kafka>
  <logger><level>error</level><console>1</console></logger>
  <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
  {more}
</clickhouse>
"""
_USERS: Final = """<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default><password/><networks><ip>127.0.0.1</ip></networks></default>
    <admin>
      <password>{password}</password><networks><ip>127.0.0.1</ip></networks>
      <access_management>1</access_management><named_collection_control>1</named_collection_control>
    </admin>
{users}
  </users>
{roles}
</clickhouse>
"""
_USER: Final = """    <{name}>
      <password>{password}</password><networks><ip>127.0.0.1</ip></networks>
      <grants><query>GRANT {role}</query></grants>
    </{name}>"""


class ClickHouse:
    """One engine. Its data outlive it.

    Args:
        home: an empty folder.
        roles: the element ``<roles>`` of a users.xml.
        users: the role of each user, beside ``admin``, who may do everything.
        more: elements of the configuration.
    """

    def __init__(self, home: Path, *, roles: str = "", users: dict[str, str] | None = None, more: str = "") -> None:
        self._home = home
        self._port, self._tcp = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        text = "\n".join(_USER.format(name=name, password=PASSWORD, role=role) for name, role in (users or {}).items())
        (home / "users.xml").write_text(_USERS.format(password=PASSWORD, users=text, roles=roles))
        (home / "config.xml").write_text(_CONFIG.format(users=home / "users.xml", more=more))

    def access(self, user: str = ADMIN) -> Access:
        return Access(self.url, user, PASSWORD)

    def start(self) -> None:
        """Start the engine, and wait until it answers."""
        library = clickhouse.library(State(STATE))
        assert library.exists(), f"{library} is missing: make test installs it"
        words: list[str | Path] = [
            "--path",
            self._home / "data",
            "--config-file",
            self._home / "config.xml",
            "--listen_host=127.0.0.1",
        ]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *[sys.executable, _ENGINE, library, *words],
                    *[f"--http_port={self._port}", f"--tcp_port={self._tcp}", "--query", _STAY],
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, (self._home / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self._home / "log").read_text()[-2000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(force=True)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it. It needs no more than SIGTERM: what it has answered for is on the disk."""
        self._end(force=False)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _end(self, *, force: bool) -> None:
        if self._process is None:
            return
        self._process.kill() if force else self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=2) as response:
                return bool(response.read() == b"Ok.\n")
        except (urllib.error.URLError, OSError):
            return False
