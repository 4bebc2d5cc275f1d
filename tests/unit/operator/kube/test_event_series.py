"""Repeats of an event are counted on one object, and an object has no flood of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from ibfeed_api.events import CATALOGUE, EventReason
from ibfeed_api.kinds import FEED_KIND, SINK_KIND
from ibfeed_api.sink import SinkReason
from ibfeed_monitoring import events_page
from ibfeed_operator.kube.event_series import BURST, QUIET_S, REFILL_S, SERIES_S
from ibfeed_operator.kube.events import EventRecorder
from support.cluster import ROOT
from support.sink_api import EVENTS, SinkApi, sink_api

OPERATOR = ROOT / "operator" / "ibfeed_operator"


@dataclass(frozen=True)
class About:
    namespace: str = "markets"
    name: str = "energy"
    uid: str = "u-1"


class Stand:
    def __init__(self, api: SinkApi, recorder: EventRecorder) -> None:
        self.api = api
        self.recorder = recorder
        self.now = 1000.0

    async def post(self, subject: str = "energy-0", message: str = "energy-0 is lost") -> None:
        await self.recorder.post(About(), "Warning", EventReason.WORKER_LOST, subject, message)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [found for path, found in self.api.objects.items() if path.startswith(EVENTS)]


@pytest_asyncio.fixture
async def stand() -> AsyncIterator[Stand]:
    async with sink_api() as (api, kube):
        made: list[Stand] = []
        made.append(Stand(api, EventRecorder(kube, clock=lambda: made[0].now)))
        yield made[0]


async def test_a_repeat_is_counted_on_the_same_object(stand: Stand) -> None:
    for number in range(5):
        await stand.post(message=f"lost for the {number}. time")
        stand.now += QUIET_S
    (event,) = stand.events
    assert event["count"] == 5
    assert event["message"] == "lost for the 4. time"
    assert event["involvedObject"]["name"] == "energy"


async def test_repeats_within_a_minute_are_told_with_the_next_write(stand: Stand) -> None:
    for _ in range(100):
        await stand.post()
        stand.now += QUIET_S / 200
    writes = len(stand.api.writes)
    assert writes == 1
    stand.now += QUIET_S
    await stand.post()
    assert [event["count"] for event in stand.events] == [101]


async def test_other_workers_have_events_of_their_own(stand: Stand) -> None:
    await stand.post("energy-0")
    await stand.post("energy-1")
    assert [event["count"] for event in stand.events] == [1, 1]


async def test_after_quiet_minutes_it_is_a_new_object(stand: Stand) -> None:
    await stand.post()
    stand.now += SERIES_S
    await stand.post()
    assert [event["count"] for event in stand.events] == [1, 1]


async def test_an_object_has_no_flood_of_events(stand: Stand) -> None:
    for number in range(500):
        await stand.post(f"energy-{number}")
    assert len(stand.events) == BURST
    stand.now += 3 * REFILL_S
    for number in range(500, 600):
        await stand.post(f"energy-{number}")
    assert len(stand.events) == BURST + 3


async def test_an_event_that_the_api_server_no_longer_has_is_made_again(stand: Stand) -> None:
    await stand.post()
    stand.api.objects.clear()
    stand.now += QUIET_S
    await stand.post()
    assert [event["count"] for event in stand.events] == [2]


def test_the_page_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "events.md").read_text() == events_page.page(), "make monitoring"


def test_the_catalogue_has_each_reason_that_the_code_posts_and_no_other() -> None:
    assert set(CATALOGUE) == set(EventReason)
    text = "\n".join(path.read_text() for path in OPERATOR.rglob("*.py"))
    roots = {EventReason.UNKNOWN_ROOT, EventReason.AMBIGUOUS_ROOT, EventReason.UNIVERSE_SHRANK}
    roots.add(EventReason.UNUSABLE_CONTRACT)
    for reason, found in CATALOGUE.items():
        if found.about == FEED_KIND and reason not in roots:
            assert f"EventReason.{reason.name}" in text, reason
    used = set(re.findall(r"EventReason\.([A-Z_]+)", text))
    assert used <= {reason.name for reason in EventReason}


def test_each_reason_that_a_sinks_ready_may_have_is_one_of_events() -> None:
    """Ready has the reason of the part that is wrong; lateness, and a lag that is not known, are no such parts."""
    other = {"FEED_FOUND", "AVAILABLE", "CAUGHT_UP", "LAG_UNKNOWN", "ON_TIME", "LATE"}
    other |= {"NOT_MEASURED", "NOT_SUSPENDED", "ALL_READABLE", "LEFT_OUT"}
    told = {str(reason) for reason in SinkReason if reason.name not in other}
    assert told == {str(reason) for reason, found in CATALOGUE.items() if found.about == SINK_KIND}
