from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.records import Tick
from ibfeed_worker.stream.frame import decode
from ibfeed_worker.ticks import Normaliser, Withheld

NOW_MS = 1_700_000_000_000
FULL = {
    "31": "71.90",
    "7059": "3",
    "84": "71.89",
    "88": "1,300",
    "86": "71.91",
    "85": "7",
    "7762": "120411",
    "6509": "RB",
}


def take(normaliser: Normaliser, fields: dict[str, Any], at: int | None = NOW_MS, seq: int = 1) -> Tick | Withheld:
    stamp = {} if at is None else {"_updated": at}
    frame = decode(json.dumps({"topic": "smd+7", "conid": 7, **stamp, **fields}).encode())
    return normaliser.normalise(frame, NOW_MS * 1_000_000, seq)


def tick(found: Tick | Withheld) -> dict[str, Any]:
    assert isinstance(found, Tick), found
    value: dict[str, Any] = json.loads(msgspec.json.encode(found), parse_float=Decimal)
    return value


@pytest.fixture
def cl() -> Normaliser:
    return Normaliser(7, "CLZ6")


def test_a_full_frame_is_a_tick_with_ibs_own_digits(cl: Normaliser) -> None:
    found = take(cl, FULL, seq=9)
    assert tick(found) == {
        "symbol": "CLZ6",
        "conid": 7,
        "price": Decimal("71.90"),
        "size": 3,
        "open_interest": None,
        "event_time": NOW_MS,
        "market_data_type": "RB",
        "bid": Decimal("71.89"),
        "bid_size": 1300,
        "ask": Decimal("71.91"),
        "ask_size": 7,
        "volume": 120411,
        "received_ns": NOW_MS * 1_000_000,
        "seq": 9,
        "flags": ["price", "size", "bid", "bid_size", "ask", "ask_size", "volume", "market_data_type", "snapshot"],
    }
    assert b'"price":71.90,' in msgspec.json.encode(found)


def test_a_partial_frame_changes_only_what_it_names(cl: Normaliser) -> None:
    take(cl, FULL)
    found = tick(take(cl, {"84": "71.88"}, NOW_MS + 500))
    assert (found["price"], found["bid"], found["flags"]) == (Decimal("71.90"), Decimal("71.88"), ["bid"])


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [("31", Withheld.NO_PRICE), ("7059", Withheld.NO_SIZE), ("6509", Withheld.NO_TYPE), ("_updated", Withheld.NO_TIME)],
)
def test_no_tick_before_price_size_type_and_time_are_known(cl: Normaliser, lacking: str, reason: Withheld) -> None:
    fields = {name: value for name, value in FULL.items() if name != lacking}
    assert take(cl, fields, None if lacking == "_updated" else NOW_MS) is reason
    found = tick(take(cl, {lacking: FULL.get(lacking)} if lacking in FULL else {"7059": "3"}, NOW_MS + 500))
    assert {"price", "bid", "snapshot"} <= set(found["flags"])  # what was withheld is not lost


def test_a_renewals_full_frame_is_not_published_again(cl: Normaliser) -> None:
    take(cl, FULL)
    assert take(cl, FULL) is Withheld.REPEATED


def test_a_new_connections_full_frame_is_not_published_again(cl: Normaliser) -> None:
    take(cl, FULL)
    cl.restart()
    assert take(cl, FULL) is Withheld.REPEATED
    assert tick(take(cl, {"31": "71.95"}, NOW_MS + 1))["bid"] == Decimal("71.89")


def test_a_new_connections_full_frame_forgets_what_it_leaves_out(cl: Normaliser) -> None:
    take(cl, FULL)
    cl.restart()
    found = tick(take(cl, {name: value for name, value in FULL.items() if name not in ("84", "88")}, NOW_MS + 10))
    assert found["bid"] is None
    assert found["flags"] == ["bid", "bid_size", "snapshot"]


def test_the_same_time_counts_only_with_other_values(cl: Normaliser) -> None:
    take(cl, FULL)
    assert tick(take(cl, {"84": "71.80"}))["flags"] == ["bid"]
    assert take(cl, {"84": "71.80"}) is Withheld.REPEATED


def test_a_later_trade_with_the_same_values_is_a_tick(cl: Normaliser) -> None:
    take(cl, FULL)
    assert tick(take(cl, {"31": "71.90", "7059": "3"}, NOW_MS + 500))["flags"] == []
    assert take(cl, {}, NOW_MS + 900) is Withheld.REPEATED


def test_time_never_goes_back_and_the_change_comes_with_the_next_tick(cl: Normaliser) -> None:
    take(cl, FULL)
    assert take(cl, {"84": "71.80"}, NOW_MS - 1) is Withheld.TIME_WENT_BACK
    assert tick(take(cl, {"85": "8"}, NOW_MS + 1))["flags"] == ["bid", "ask_size"]


def test_a_time_far_ahead_does_not_silence_the_contract(cl: Normaliser) -> None:
    assert take(cl, FULL, NOW_MS * 10) is Withheld.NO_TIME
    tick(take(cl, FULL, NOW_MS))


def test_what_another_worker_published_is_not_published_again(cl: Normaliser) -> None:
    cl.published_elsewhere(NOW_MS)
    assert take(cl, FULL, NOW_MS) is Withheld.REPEATED
    assert tick(take(cl, {"84": "71.80"}, NOW_MS + 1))["flags"] == ["bid", "snapshot"]


def test_what_happened_since_another_workers_last_tick_is_published(cl: Normaliser) -> None:
    cl.published_elsewhere(NOW_MS - 500)
    assert tick(take(cl, FULL, NOW_MS))["event_time"] == NOW_MS


@pytest.mark.parametrize(
    ("kind", "flags", "live"),
    [
        ("RpB", [], True),
        ("D", ["delayed"], False),
        ("ZB", ["frozen"], False),
        ("Y", ["delayed", "frozen"], False),
        ("N", ["not_subscribed"], False),
        ("S", ["unverified"], False),
    ],
)
def test_only_real_time_data_passes_as_live(cl: Normaliser, kind: str, flags: list[str], live: bool) -> None:
    found = tick(take(cl, {**FULL, "6509": kind}))
    assert found["market_data_type"] == kind
    assert [flag for flag in found["flags"] if flag in ("delayed", "frozen", "not_subscribed", "unverified")] == flags
    assert cl.live is live


@pytest.mark.parametrize("kind", ["R" * 9, "R\ufffd", "1", " ", "R B"])
def test_an_availability_that_is_none_changes_nothing(cl: Normaliser, kind: str) -> None:
    assert take(cl, {**FULL, "6509": kind}) is Withheld.NO_TYPE
    take(cl, {"6509": "D"}, NOW_MS + 1)
    assert tick(take(cl, {"31": "71.95", "6509": kind}, NOW_MS + 2))["market_data_type"] == "D"
    assert cl.unreadable == 2


def test_a_negative_price_and_sizes_of_zero_are_values(cl: Normaliser) -> None:
    found = tick(take(cl, {**FULL, "31": "-37.63", "84": "-37.64", "7059": "0", "88": "0", "7697": "0"}))
    assert (found["price"], found["bid"]) == (Decimal("-37.63"), Decimal("-37.64"))
    assert (found["size"], found["bid_size"], found["open_interest"]) == (0, 0, 0)


def test_a_halted_price_that_is_delayed_says_both(cl: Normaliser) -> None:
    assert {"halted", "delayed"} <= set(tick(take(cl, {**FULL, "31": "H71.90", "6509": "DPB"}))["flags"])


@pytest.mark.parametrize(("price", "flag"), [("C71.90", "previous_close"), ("H71.90", "halted")])
def test_marks_in_front_of_a_price_become_flags(cl: Normaliser, price: str, flag: str) -> None:
    assert flag in tick(take(cl, {**FULL, "31": price}))["flags"]
    later = tick(take(cl, {"31": "71.90"}, NOW_MS + 1))
    assert later["flags"] == ["price"]


def test_the_full_volume_wins_over_the_rounded_one(cl: Normaliser) -> None:
    rounded = {name: value for name, value in FULL.items() if name != "7762"}
    assert tick(take(cl, {**rounded, "87": "12.2M"}))["volume"] == 12_200_000
    assert tick(take(cl, {"7762": "12,215,004"}, NOW_MS + 1))["volume"] == 12_215_004
    assert tick(take(cl, {"87": "12.3M"}, NOW_MS + 2))["volume"] == 12_215_004


def test_an_unreadable_value_leaves_the_known_one_and_is_counted(cl: Normaliser) -> None:
    take(cl, FULL)
    assert tick(take(cl, {"84": "oops", "86": "71.99"}, NOW_MS + 1))["bid"] == Decimal("71.89")
    assert cl.unreadable == 1


def test_an_empty_value_takes_the_bid_away(cl: Normaliser) -> None:
    take(cl, FULL)
    assert tick(take(cl, {"84": ""}, NOW_MS + 1))["bid"] is None


_VALUES = st.sampled_from(["71.90", "71.91", "C71.90", "1,300", "3.1K", "", "x", "H1", "-0.5"])
_FRAMES = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["31", "7059", "84", "88", "86", "85", "7762", "87", "7697"]), _VALUES),
        st.sampled_from(["", "RB", "D"]),
        st.integers(-3, 3) | st.none(),
        st.booleans(),
    ),
    max_size=40,
)


@given(_FRAMES)
def test_order_holds_whatever_comes(frames: list[tuple[dict[str, str], str, int | None, bool]]) -> None:
    normaliser = Normaliser(7, "CLZ6")
    before: tuple[int, tuple[dict[str, Any], set[str]]] | None = None
    time = NOW_MS
    for fields, kind, pace, reconnects in frames:
        if reconnects:
            normaliser.restart()
        time += pace or 0
        found = take(normaliser, {**fields, "6509": kind}, None if pace is None else time)
        if isinstance(found, Withheld):
            continue
        value = tick(found)
        said = {name: value[name] for name in value if name not in ("received_ns", "flags", "event_time")}
        marks = {flag for flag in value["flags"] if flag in ("previous_close", "halted")}
        if before is not None:
            assert (value["event_time"] > before[0]) or (
                value["event_time"] == before[0] and (said, marks) != before[1]
            )
        before = value["event_time"], (said, marks)


def test_after_a_tick_of_somebody_else_the_next_one_names_all_that_is_known(cl: Normaliser) -> None:
    take(cl, FULL)
    cl.published_elsewhere(NOW_MS + 1000)
    found = take(cl, {"31": "71.95"}, at=NOW_MS + 2000, seq=2)
    assert tick(found)["flags"] == ["price", "size", "bid", "bid_size", "ask", "ask_size", "volume"]
