"""The schema registry of a feed that writes Avro."""

from __future__ import annotations

from collections.abc import Iterator

from ibfeed.doctor.facts import FeedFacts, Unknown
from ibfeed.doctor.findings import FoundFault, Severity, error

AWAY = error("registry-unreachable", "the schema registry does not answer (a warning if workers publish)")
REFUSES = error("registry-refused", "the schema registry refuses (a warning if workers publish)")
FAULTS = (AWAY, REFUSES)


def check(facts: FeedFacts) -> Iterator[FoundFault]:
    """Check the registry as this machine sees it. A worker's own word is among those on Kafka."""
    registry, where = facts.registry, facts.feed.spec.kafka.schema_registry
    if registry is None or isinstance(registry, Unknown) or where is None:
        return
    severity = Severity.WARNING if facts.publishes else Severity.ERROR
    patch = (
        f"{facts.on} patch ibf/{facts.name} --type merge -p"
        ' \'{"spec":{"kafka":{"schemaRegistry":{"url":"URL"}}}}\''
    )
    if registry.trouble:
        yield AWAY.found(
            f"schema registry {where.url}",
            "it does not answer",
            f"{registry.trouble}; workers that start wait for it, and readers without its schemas read nothing",
            patch,
            severity=severity,
        )
    elif registry.refused:
        secret = f"{facts.on} edit secret {where.secret_ref.name}" if where.secret_ref is not None else patch
        yield REFUSES.found(f"schema registry {where.url}", "it refuses", registry.refused, secret, severity=severity)
