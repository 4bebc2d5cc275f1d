"""A real Kafka: one broker that is its own controller (KRaft), as a process of this machine."""

from __future__ import annotations

import base64
import os
import socket
import time
from pathlib import Path

from ibfeed_local import daemons, layout, maven
from ibfeed_local.command import run, tail
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import SOURCE, State, write


def fetch(state: State) -> str:
    """Bring the broker's jars from Maven; return a word on what was done."""
    return maven.fetch(state, "kafka", SOURCE / "local" / "kafka", _jars(state))


def start(state: State) -> None:
    """Start the broker, unless it runs, and wait until it takes connections. Its data live as long as the cluster."""
    if daemons.running(state, "kafka"):
        return
    home = state.run / "kafka"
    home.mkdir(exist_ok=True)
    configuration, logging = _configure(home)
    java = ["java", "-cp", f"{_jars(state)}/*", f"-Dlog4j2.configurationFile={logging.as_uri()}"]
    if not (home / "data" / "meta.properties").exists():
        run(
            [
                *(*java, "-Xmx128m", "kafka.tools.StorageTool", "format", "--standalone"),
                *("-t", _cluster_id(), "-c", configuration),
            ],
            state.log / "kafka-format.log",
        )
    heap = ["-Xms128m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=128m"]
    daemons.start(state, "kafka", [java[0], *heap, *java[1:], "kafka.Kafka", configuration], folder=home)
    deadline = time.monotonic() + 60
    while not _answers():
        daemons.require(state, "kafka")
        if time.monotonic() > deadline:
            raise ProblemError(f"Kafka did not answer within 60 s; {tail(state.log / 'kafka.log')}")
        time.sleep(0.2)


def _configure(home: Path) -> tuple[Path, Path]:
    """Write the settings of the broker and of its log; return their files."""
    configuration = home / "server.properties"
    write(
        configuration,
        f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:9093
listeners=PLAINTEXT://{layout.KAFKA},CONTROLLER://127.0.0.1:9093
advertised.listeners=PLAINTEXT://{layout.KAFKA}
controller.listener.names=CONTROLLER
log.dirs={home / "data"}
auto.create.topics.enable=false
num.partitions=3
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.retention.hours=24
log.segment.bytes=67108864
""",
    )
    logging = home / "log4j2.properties"
    write(
        logging,
        """status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
""",
    )
    return configuration, logging


def _answers() -> bool:
    try:
        with socket.create_connection((layout.NODE_ADDRESS, layout.KAFKA_PORT), timeout=1):
            return True
    except OSError:
        return False


def _cluster_id() -> str:
    """Return sixteen bytes as Kafka writes an id. The first byte keeps a dash away, as options begin with one."""
    return base64.urlsafe_b64encode(b"k" + os.urandom(15)).decode().rstrip("=")


def _jars(state: State) -> Path:
    return state.root / "kafka" / "jars"
