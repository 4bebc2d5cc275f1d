"""The part of the job that runs on the driver: one streaming query, and the reference data that its tasks need."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery
from pyspark.sql.streaming.listener import (
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)
from redis.exceptions import RedisError

from ibfeed.errors import RecordError
from ibfeed.events import Contract
from ibfeed.stream import EventStream, Wanted
from ibfeed_api.backoff import Backoff
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis_settings import told_or_refused
from ibfeed_platform.spark.progress import batch_of
from ibfeed_platform.spark.rows import COLUMNS, KafkaRow
from ibfeed_platform.spark.settings import Settings, SettingsError, parse, parser
from ibfeed_platform.spark.tasks import PartWriter, hot_store, values_of, with_registry

_TOLD_EVERY_S: Final = 10.0
_AGAIN_S: Final = 0.2
_AGAIN_MOST_S: Final = 30.0
_LOOK_S: Final = 1.0  # between two looks at which Redis it is
_SOUND: Final = 100  # batches, after which a failure is the first of its kind
_log: Final = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run the job until it fails; return the exit code: 2 if the settings are wrong, else 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    try:
        file = parser().parse_args(arguments).kafka_properties
        settings = parse(arguments, Path(file).read_text() if file else "")
    except (SettingsError, SinkError, OSError) as error:
        _log.error("%s", error)
        return 2
    spark = SparkSession.builder.appName(f"ibfeed hot store of {settings.feed}").getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    try:
        _run(spark, settings)
    except (SinkError, PySparkException, Py4JJavaError) as error:
        _log.error("%s", error)
    finally:
        spark.stop()
    return 1


def _run(spark: SparkSession, settings: Settings) -> None:
    """Run the query, and start it again when it fails, until it fails without having written a batch.

    Spark 4.1.1 fails after the first batch of a restart, if that batch had begun before: its progress report meets a
    null (SPARK-55271). The batch is written and committed by then, so the next start goes on.
    """
    writer = _BatchWriter(spark, settings)
    spark.streams.addListener(_Listener(settings.topics.contracts, writer))
    writer.fill_another_redis()  # from now on it knows which one it is
    writer.fill()
    backoff = Backoff(_AGAIN_S, _AGAIN_MOST_S)
    while True:
        written = writer.batches
        query = _start(spark, settings, writer)
        try:
            while not query.awaitTermination(_LOOK_S):
                writer.fill_another_redis()
        except StreamingQueryException as error:
            cause = str(error).partition("\n")[0]  # the rest is Spark's plan of the query
            if writer.batches == written:
                _log.error("the query fails, and its next start goes on where it was: %s", cause)
                return
            if writer.batches - written > _SOUND:
                backoff.reset()
            pause_s = backoff.next()
            _log.warning("the query has failed, and is started again in %.1f s: %s", pause_s, cause)
            time.sleep(pause_s)


def _start(spark: SparkSession, settings: Settings, writer: _BatchWriter) -> StreamingQuery:
    stream = spark.readStream.format("kafka").options(**settings.stream_options(_now_ms())).load()
    return (
        stream.select(*COLUMNS)
        .writeStream.queryName("hot-store")
        .foreachBatch(writer.write)
        .option("checkpointLocation", settings.checkpoint)
        .trigger(processingTime=f"{settings.trigger_ms} milliseconds")
        .start()
    )


class _BatchWriter:
    """The writer that Spark calls with each batch.

    A batch that was begun before a crash comes again as it was. Redis takes nothing that is older than what it has, so
    that does no harm.
    """

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self._spark: Final = spark
        self._settings: Final = settings
        self._changed: Final = spark.sparkContext.accumulator(0)
        self._unreadable: Final = spark.sparkContext.accumulator(0)
        self._contracts: Any = None  # a broadcast variable
        self._instance: str | None = None  # of Redis
        self.batches = 0  # that were written

    @property
    def unreadable(self) -> int:
        """The records that were left out since the start. The executors' logs say why."""
        return int(self._unreadable.value)

    def fill(self) -> None:
        """Write all that has not expired. Redis may have lost it: it restarted, maybe while this job did not run."""
        self._contracts = self._spark.sparkContext.broadcast(self._read_contracts())
        if self._settings.topics.streams:
            self._send(self._read(self._settings.window_options(_now_ms())))

    def fill_another_redis(self) -> None:
        """Write all that has not expired if Redis has restarted, or another one has taken over."""
        try:
            instance = hot_store(self._settings.redis).instance()
        except RedisError as error:
            _log.warning("%s", told_or_refused(error, self._settings.redis))
            return
        before, self._instance = self._instance, instance
        if before not in (None, instance):
            _log.warning("Redis is another one: what has not expired is written again")
            self.fill()

    def write(self, batch: DataFrame, _number: int) -> None:
        """Write a batch, and return when Redis has all of it."""
        changed = self._changed.value
        self._send(batch)
        self.batches += 1
        if self._changed.value > changed:
            self._contracts = self._spark.sparkContext.broadcast(self._read_contracts())

    def _send(self, rows: DataFrame) -> None:
        settings = self._settings
        writer = PartWriter(
            settings.topics,
            settings.feed,
            settings.redis,
            self._contracts,
            self._changed,
            self._unreadable,
            settings.registry,
        )
        # A task costs more than its rows, so there are as many of them as cores and not as many as partitions.
        rows.coalesce(self._spark.sparkContext.defaultParallelism).foreachPartition(writer)

    def _read(self, options: Mapping[str, str]) -> DataFrame:
        return self._spark.read.format("kafka").options(**options).load().select(*COLUMNS)

    def _read_contracts(self) -> dict[int, Contract]:
        options = self._settings.table_options()
        stream = EventStream(self._settings.topics, Wanted(self._settings.feed), skip_unreadable=True)
        if options is not None:
            rows = [KafkaRow(*row) for row in self._read(options).collect()]
            stream.load_contracts(with_registry(lambda: [self._plain(row) for row in rows]))
        return stream.contracts

    def _plain(self, row: KafkaRow) -> KafkaRow:
        """Return a row whose value is JSON. One that cannot be decoded comes back as it is, and its units stay unknown.

        Raises RegistryUnreachableError, or SinkError.
        """
        value = row.value()
        if value is None:
            return row
        try:
            return row._replace(of_value=bytearray(values_of(self._settings.registry).plain(value)))
        except RecordError:
            return row


class _Listener(StreamingQueryListener):
    """Tells how far the query has come, and at once if records are missing."""

    def __init__(self, compacted: str | None, writer: _BatchWriter) -> None:
        self._compacted: Final = compacted
        self._writer: Final = writer
        self._records = 0
        self._told_at = float("-inf")

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802
        _log.info("query %s has started, run %s", event.id, event.runId)

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802
        batch = batch_of(json.loads(event.progress.json), self._compacted)
        self._records += batch.records
        if batch.missing:
            _log.warning(
                "batch %d: at least %d records are missing, which Kafka had deleted before they were read: is its"
                " retention longer than the job was away?",
                batch.number,
                batch.missing,
            )
        if time.monotonic() - self._told_at > _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            _log.info(
                "batch %d: %d records in %.2f s, %d since the start, %d left out as unreadable, lag %d",
                *(batch.number, batch.records, batch.seconds, self._records, self._writer.unreadable, batch.lag),
            )

    def onQueryIdle(self, event: Any) -> None:  # noqa: N802
        """Nothing came. That is told by the batches that are not."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802
        """``main`` tells it."""


def _now_ms() -> int:
    return int(time.time() * 1000)
