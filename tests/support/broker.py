"""A Kafka for one test, to be stopped, killed or bound to a processor. Its brokers are processes; the first leads."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.cluster import STATE
from support.ports import free_port

JARS = STATE / "kafka" / "jars"
_CLUSTER = "kafkaOutageTestIdAAAAA"


@dataclass(frozen=True)
class Listener:
    """One more listener. ``advertised`` is the address for clients, if it is not where the broker listens.

    ``settings`` are Kafka's own for this listener, without its prefix.
    """

    protocol: str
    advertised: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


class Broker:
    """One Kafka process. Its data outlive it.

    ``servers`` is its plain listener, where every client may do everything. ``at`` has the address of each of
    ``listeners``. ``first`` is the broker whose cluster this one joins. Without it the broker is a cluster by itself.
    """

    def __init__(
        self,
        home: Path,
        *,
        first: Broker | None = None,
        node: int = 1,
        host: str = "127.0.0.1",
        advertised: str = "",
        listeners: Mapping[str, Listener] | None = None,
        settings: Mapping[str, str] | None = None,
        java: tuple[str, ...] = (),
    ) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._java = java
        self._node = node
        self._first = first
        self._advertised = advertised
        self.servers = f"{host}:{free_port()}"
        self._controller: str = first._controller if first is not None else f"127.0.0.1:{free_port()}"
        self._host = host
        self.listeners: dict[str, Listener] = {}
        self.at: dict[str, str] = {}
        for name, listener in (listeners or {}).items():
            self.listen(name, listener)
        self.settings = dict(settings or {})
        self._settings = home / "server.properties"
        self.write()
        words = ["--no-initial-controllers"] if first is not None else ["--standalone"]
        self._run(["kafka.tools.StorageTool", "format", *words, "-t", _CLUSTER, "-c"]).wait(60)

    def listen(self, name: str, listener: Listener) -> None:
        """Add a listener, or replace one, whose address stays. It counts once it is written."""
        self.listeners[name] = listener
        self.at.setdefault(name, f"{self._host}:{free_port()}")

    def write(self) -> None:
        """Write the settings. Changes of ``listeners`` and ``settings`` count from the next start on."""
        joins = self._first is not None
        listeners = [f"PLAINTEXT://{self.servers}", *(f"{name}://{at}" for name, at in self.at.items())]
        told = [
            f"PLAINTEXT://{self._advertised or self.servers}",
            *(f"{name}://{self.listeners[name].advertised or at}" for name, at in self.at.items()),
        ]
        protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"]
        protocols += [f"{name}:{listener.protocol}" for name, listener in self.listeners.items()]
        settings = {
            "process.roles": "broker" if joins else "broker,controller",
            "node.id": str(self._node),
            "controller.quorum.bootstrap.servers": self._controller,
            "listeners": ",".join([*listeners, *([] if joins else [f"CONTROLLER://{self._controller}"])]),
            "advertised.listeners": ",".join(told),
            "listener.security.protocol.map": ",".join(protocols),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._home / "data"),
            "auto.create.topics.enable": "false",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            **self.settings,
        }
        for name, listener in self.listeners.items():
            settings |= {f"listener.name.{name.lower()}.{key}": value for key, value in listener.settings.items()}
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _run(self, words: list[str]) -> subprocess.Popen[bytes]:
        with (self._home / "log").open("ab") as log:
            return subprocess.Popen(
                ["java", "-Xms96m", "-Xmx256m", *self._java, "-cp", f"{JARS}/*", *words, str(self._settings)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home,
            )

    async def start(self) -> None:
        self._process = self._run(["kafka.Kafka"])
        host, _, port = self.servers.rpartition(":")
        host = host.strip("[]")
        async with asyncio.timeout(180):  # five brokers take more than a minute on two busy cores
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    return
                assert self._process.poll() is None, (self._home / "log").read_text()[-2000:]
                await asyncio.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
