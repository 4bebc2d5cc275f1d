"""Sessions, logins, moves and gaps for the time line."""

from __future__ import annotations

from ibfeed_api.records import FeedEvent
from ibfeed_operator.console.history import KEEP_MS, MOST, History

FEED = "default/energy"


def told(history: History, since: int = 0, now: int = 1000) -> list[tuple[str, str, str]]:
    return [(one.kind, one.worker, one.text) for one in history.since(since, now, lambda feed: feed == FEED)]


def gap(at_ms: int = 900) -> FeedEvent:
    return FeedEvent(
        kind="gap",
        feed="energy",
        worker="energy-0",
        at_ms=at_ms,
        conid=1,
        symbol="CLZ6",
        from_ms=400,
        to_ms=800,
        detail="x",
    )


def test_each_change_of_a_session_is_noted_and_a_login_marked() -> None:
    history = History()
    for before, after in ((None, "LoggingIn"), ("LoggingIn", "LoggingIn"), ("LoggingIn", "Streaming")):
        history.session(10, FEED, "energy-0", before, after)
    assert told(history) == [
        ("session", "energy-0", "LoggingIn"),
        ("login", "energy-0", "logs in"),
        ("session", "energy-0", "Streaming"),
    ]


def test_worker_that_goes_is_absent() -> None:
    history = History()
    history.session(10, FEED, "energy-0", "Streaming", None)
    assert told(history) == [("session", "energy-0", "Absent")]


def test_memory_of_gaps_is_bounded() -> None:
    history = History()
    for at_ms in range(MOST + 2):
        history.event(FEED, gap(at_ms))
    history.event(FEED, gap(0))
    assert history.seq == MOST + 3, "the oldest was forgotten, and is told again"


def test_present_session_is_there_however_old() -> None:
    history = History()
    history.session(0, FEED, "energy-0", None, "Streaming")
    later = KEEP_MS + 5000
    assert told(history, now=later) == [("session", "energy-0", "Streaming")]
    assert told(history, since=history.seq, now=later) == []


def test_contracts_that_move_together_are_one_line() -> None:
    history = History()
    symbols = {conid: f"CL{conid}" for conid in range(9)}
    history.moves(5, FEED, dict.fromkeys(range(9), "a"), {**dict.fromkeys(range(8), "b"), 8: "a"}, symbols)
    assert told(history) == [("move", "b", "CL0, CL1, CL2, CL3, CL4, CL5 and 2 more: a → b")]


def test_contract_that_comes_or_goes_has_no_worker_on_one_side() -> None:
    history = History()
    history.moves(5, FEED, {1: "a"}, {2: "b"}, {1: "CL1", 2: "CL2"})
    assert [text for _, _, text in told(history)] == ["CL2: no worker → b", "CL1: a → no worker"]


def test_gap_that_is_read_again_is_one() -> None:
    history = History()
    history.event(FEED, gap())
    history.event(FEED, gap())
    history.event(FEED, FeedEvent(kind="alive", feed="energy", worker="energy-0", at_ms=1))
    (one,) = history.since(0, 1000, lambda _: True)
    assert (one.kind, one.at_ms, one.end_ms, one.text) == ("gap", 400, 800, "CLZ6: x")


def test_other_feeds_are_left_out() -> None:
    history = History()
    history.session(10, "other/feed", "w", None, "Streaming")
    assert told(history) == []
