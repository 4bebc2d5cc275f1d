"""The inspection of Kafka: whether our records can be published, and if not, why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from ibfeed_api.feed import Kafka
from ibfeed_api.log import Log
from ibfeed_api.reasons import Reason
from ibfeed_api.records import FeedEvent
from ibfeed_api.shard import KAFKA_ANSWER_S
from ibfeed_worker.publish.admin import NoMetadataError, TopicCreationError
from ibfeed_worker.publish.broker import Broker, BrokerError
from ibfeed_worker.publish.diagnosis import diagnose_bootstrap, diagnose_leader
from ibfeed_worker.publish.line import ProducerLine, SecretsError
from ibfeed_worker.publish.partition_writer import PartitionWriter
from ibfeed_worker.publish.schema_registry import RegistryError
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.publish.survey import Survey, missing, topic_trouble, unanswered
from ibfeed_worker.publish.trouble import REFUSED, Trouble

_log: Final = Log(__name__)
_PROBE_S: Final = 60.0  # seconds without an acknowledgement; then one is asked for
_SPREADING_LOOKS: Final = 4
_SPREADING_S: Final = 0.5


class Inspection:
    """The inspection of a feed's Kafka. It opens the line of producers when Kafka's topics are as they should be."""

    def __init__(
        self,
        *,
        worker: str,
        feed: str,
        kafka: Kafka,
        line: ProducerLine,
        send_queue: SendQueue,
        late: Callable[[], Mapping[PartitionWriter | None, float]],
        on_doubt: Callable[[str], None],
    ) -> None:
        """Create the inspection; ``run`` is one look.

        Args:
            worker: the worker's name, for the probe.
            feed: the feed's name, for the probe.
            kafka: the feed's.
            line: the producers.
            send_queue: sends the probe.
            late: returns the writers whose records wait for too long, and since when. None: events.
            on_doubt: called as soon as something does not answer. To find out why not may take seconds.
        """
        self.survey: Survey | None = None  # of the latest look, if it came so far
        self._worker: Final = worker
        self._feed: Final = feed
        self._kafka: Final = kafka
        self._line: Final = line
        self._send_queue: Final = send_queue
        self._late: Final = late
        self._on_doubt: Final = on_doubt
        self._names: Final = tuple(topic.name for topic in kafka.topics.every)
        self._acknowledged_at = float("-inf")  # when a record that the present producer sent was acknowledged last
        self._answered: Final = asyncio.Event()

    def acknowledged(self) -> None:
        """Note that a record which the present producer sent was acknowledged."""
        self._acknowledged_at = time.monotonic()
        self._answered.set()

    async def run(self) -> Trouble | None:
        """Return what keeps records from being acknowledged; None if they are.

        It raises nothing: the task that calls it must not end, and a failure must not go unreported.
        """
        try:
            trouble = await self._look()
            if trouble is not None and trouble.reason in REFUSED:
                await self._line.read_again()
            return trouble
        except RegistryError as error:
            reason = Reason.SCHEMA_REGISTRY_REFUSED if error.refused else Reason.SCHEMA_REGISTRY_AWAY
            trouble = Trouble(reason, str(error))
        except BrokerError as error:
            trouble = Trouble(Reason.KAFKA_CONFIG, self._line.who.scrub(str(error)))
        except SecretsError as error:
            trouble = Trouble(Reason.KAFKA_SECRET, str(error))
        except Exception as error:  # noqa: BLE001 - the last place that can say why
            text = f"{type(error).__name__}: {self._line.who.scrub(str(error))}"
            _log.error("looking at Kafka failed", error=text)
            trouble = Trouble(Reason.WORKER_FAILED, f"the worker cannot look at Kafka, and tries again: {text}")
        self.survey = None
        return trouble

    async def _look(self) -> Trouble | None:
        """Return what keeps records from being acknowledged; None if they are. Raises BrokerError or SecretsError."""
        line, kafka = self._line, self._kafka
        broker = await line.ready()
        try:
            survey = self.survey = await self._look_at_topics(broker)
        except NoMetadataError:
            self.survey = None
            self._on_doubt("no answer is given")
            return await diagnose_bootstrap(kafka, line.who, line.heard)
        except TopicCreationError as error:
            self.survey = None
            advice = "allow us Create, or create it and set kafka.createTopics to false"
            return Trouble(Reason.KAFKA_RIGHTS if error.denied else Reason.KAFKA_TOPIC, f"{error}; {advice}")
        if not survey.silent:  # a silent broker may be the one that this would be asked of
            await line.ask(broker)
        trouble = topic_trouble(kafka, survey, line.limits, line.denied)
        if trouble is not None and trouble.reason in (Reason.KAFKA_TOPIC, Reason.KAFKA_RIGHTS):
            return trouble
        await line.open(survey)
        if survey.silent:
            self._on_doubt("not every question is answered")
            return await diagnose_leader(survey, kafka, line.who, line.heard)
        return trouble or await self._why_late(survey) or await self._prove(survey)

    async def _look_at_topics(self, broker: Broker) -> Survey:
        """Look at the topics; create missing ones if we are to. Raises NoMetadataError or TopicCreationError."""
        survey = await asyncio.to_thread(broker.survey, self._names)
        lacking = missing(self._kafka, survey)
        if lacking and self._kafka.create_topics:
            await asyncio.to_thread(broker.create, lacking)
            for _ in range(_SPREADING_LOOKS):  # the brokers need a moment to tell each other
                survey = await asyncio.to_thread(broker.survey, self._names)
                if not missing(self._kafka, survey):
                    break
                await asyncio.sleep(_SPREADING_S)
        return survey

    async def _why_late(self, survey: Survey) -> Trouble | None:
        """Return why records wait although nothing is wrong with their brokers; None if none do."""
        late, broker = dict(self._late()), self._line.broker
        if not late or broker is None:
            return None
        writer = max(late, key=lambda writer: late[writer])
        topic = writer.topic if writer is not None else self._kafka.topics.feed_events.name
        await self._line.ask_limits(broker)
        return unanswered(topic, survey, self._line.limits, KAFKA_ANSWER_S)

    async def _prove(self, survey: Survey) -> Trouble | None:
        """See to it that a record was acknowledged lately: by a probe, if there was nothing else to publish."""
        line, begun = self._line, time.monotonic()
        if self._acknowledged_at >= max(line.opened_at, begun - _PROBE_S):
            return None
        if not self._send_queue.events.in_flight:
            line.counters.probes += 1
            self._send_queue.event(
                FeedEvent(kind="alive", feed=self._feed, worker=self._worker, at_ms=time.time_ns() // 1_000_000)
            )
        try:
            async with asyncio.timeout(KAFKA_ANSWER_S):
                while self._acknowledged_at < begun:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            return unanswered(self._kafka.topics.feed_events.name, survey, line.limits, KAFKA_ANSWER_S)
        return None
