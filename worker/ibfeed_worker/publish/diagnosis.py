"""The diagnosis of a Kafka that does not answer: look at its addresses, and say why not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from ibfeed_api.feed import Kafka
from ibfeed_api.kafka_security import KafkaCredentials
from ibfeed_worker.publish.reach import look_at
from ibfeed_worker.publish.survey import Survey, led_by
from ibfeed_worker.publish.trouble import Finding, Heard, Trouble, of_bootstrap, of_broker

_AT_MOST: Final = 3  # addresses of bootstrapServers


async def diagnose_bootstrap(kafka: Kafka, who: KafkaCredentials, heard: Iterable[Heard]) -> Trouble:
    """Explain that no broker of ``kafka.bootstrap_servers`` has told anything."""
    found = await _look_at(kafka.bootstrap_servers.split(",")[:_AT_MOST], kafka, who)
    return of_bootstrap(found, heard, kafka, who)


async def diagnose_leader(survey: Survey, kafka: Kafka, who: KafkaCredentials, heard: Iterable[Heard]) -> Trouble:
    """Explain why a broker is ``silent``: of several, the one that leads most of our partitions."""
    leads = led_by(survey)
    broker = max(survey.silent, key=lambda broker: (leads[broker], -broker))
    (finding,) = await _look_at([survey.brokers[broker]], kafka, who)
    return of_broker(broker, finding, heard, kafka, who)


async def _look_at(addresses: Sequence[str], kafka: Kafka, who: KafkaCredentials) -> list[Finding]:
    look = partial(
        look_at,
        tls=kafka.security_protocol.endswith("SSL"),
        authority=who.authority,
        check_name=kafka.config.get("ssl.endpoint.identification.algorithm") != "none",
    )
    return list(await asyncio.gather(*(asyncio.to_thread(look, address) for address in addresses)))
