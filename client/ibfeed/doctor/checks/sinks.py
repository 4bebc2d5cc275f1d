"""The sinks that a feed's records go to."""

from __future__ import annotations

from collections.abc import Iterator

from ibfeed.doctor.facts import FeedFacts, known
from ibfeed.doctor.findings import FoundFault, error, warning
from ibfeed.doctor.seen import SeenSink

FAILING = error("sink-failing", "a sink's destination fails or refuses")
DOWN = error("sink-down", "a sink's pods do not run")
LATE = warning("sink-late", "a sink does not keep up, or misses its objective")
FAULTS = (FAILING, DOWN, LATE)


def check(facts: FeedFacts) -> Iterator[FoundFault]:
    """Check each sink of the feed by its conditions."""
    for sink in known(facts.sinks, ()):
        if sink.spec.feed_ref.name == facts.name and not sink.spec.suspend:
            yield from _of_sink(sink, facts)


def _of_sink(sink: SeenSink, facts: FeedFacts) -> Iterator[FoundFault]:
    name = sink.metadata.name
    about = f"sink {name}"
    said = {one.type: one for one in sink.status.conditions if one.status == "False"}
    logs = f"{facts.on} logs deploy/{name}-sink --tail=50"
    describe = f"{facts.on} describe ibk {name}"
    down = said.get("FeedFound") or said.get("Available")
    failing = said.get("Writing")
    if down is not None:
        yield DOWN.found(about, f"it does not run: {down.reason}", down.message, describe)
    elif failing is not None:
        cause = "; ".join(dict.fromkeys(filter(None, (failing.message, sink.status.last_error))))
        yield FAILING.found(about, f"its destination takes no records: {failing.reason}", cause, logs)
    else:
        late = [said[kind] for kind in ("CaughtUp", "OnTime") if kind in said]
        more = f"{facts.on} scale ibk/{name} --replicas=N"
        for one in late:
            yield LATE.found(about, f"{one.type} is False: {one.reason}", one.message, more)
