"""A Kafka of one's own, to be stopped, killed or bound to a processor: one broker that is its own controller."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from pathlib import Path

from support.cluster import STATE
from support.ports import free_port

JARS = STATE / "kafka" / "jars"


class Broker:
    """One Kafka that is its own controller, as a process; its data outlive it."""

    def __init__(self, home: Path, *more: str) -> None:
        """``more``: lines of its settings, such as who may do what."""
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        port, controller = free_port(), free_port()
        self.servers = f"127.0.0.1:{port}"
        self._settings = home / "server.properties"
        self._settings.write_text(
            f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://{self.servers},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{self.servers}
controller.listener.names=CONTROLLER
log.dirs={home / "data"}
auto.create.topics.enable=false
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
"""
            + "".join(f"{line}\n" for line in more)
        )
        self._run(["kafka.tools.StorageTool", "format", "--standalone", "-t", "kafkaOutageTestIdAAAAA", "-c"]).wait(60)

    def _run(self, words: list[str]) -> subprocess.Popen[bytes]:
        with (self._home / "log").open("ab") as log:
            return subprocess.Popen(
                ["java", "-Xms96m", "-Xmx256m", "-cp", f"{JARS}/*", *words, str(self._settings)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home,
            )

    async def start(self) -> None:
        self._process = self._run(["kafka.Kafka"])
        host, port = self.servers.split(":")
        async with asyncio.timeout(180):  # five of them take more than a minute on two cores that others use, too
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
