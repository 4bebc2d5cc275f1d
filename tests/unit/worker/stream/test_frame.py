from __future__ import annotations

import contextlib
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_worker.stream.frame import Joiner, UnreadableFrameError, decode

FULL = (
    b'{"server_id":"q0","conidEx":"495512572","conid":495512572,"_updated":1678666665031,"6119":"q0","84":"3913.25",'
    b'"31":"3913.50","86":"3913.75","6509":"RB","topic":"smd+495512572"}'
)
PARTIAL = (
    b'{"server_id":"q0","conid":265598,"_updated":1615300714892,"6119":"q0","87":"12.2M","87_raw":1.22E7,'
    b'"31":"119.46","6509":"RpB","topic":"smd+265598"}'
)
GOLDEN = (
    FULL,
    PARTIAL,
    b'{"topic":"system","success":"user","isFT":false,"isPaper":true}',
    b'{"topic":"system","hb":1594677336001}',
    b'{"topic":"sts","args":{"authenticated":false}}',
    b'{"message":"waiting for session"}',
    b'{"error":"Topic unknown smd","code":1}',
    b'{"topic":"tic","alive":true,"id":"abc","lastAccessed":1594677336001}',
    b'{"topic":"act","args":{"accounts":["DU123"],"serverInfo":{},"isPaper":true}}',
)


def test_documented_frames_are_read() -> None:
    full, partial = decode(FULL), decode(PARTIAL)
    assert (full.contract(), full.updated, full.price, full.bid, full.ask) == (
        495512572,
        1678666665031,
        "3913.50",
        "3913.25",
        "3913.75",
    )
    assert (full.market_data_type, full.size) == ("RB", None)
    assert (partial.contract(), partial.rounded_volume) == (265598, "12.2M")
    assert decode(GOLDEN[2]).is_paper is True
    assert bytes(decode(GOLDEN[4]).args) == b'{"authenticated":false}'
    assert decode(GOLDEN[5]).message == "waiting for session"
    assert decode(GOLDEN[6]).error == "Topic unknown smd"


@pytest.mark.parametrize(
    ("text", "conid"),
    [
        (b'{"conid":5,"topic":"smd+6"}', 5),
        (b'{"conid":"5","topic":"smd+6"}', 5),
        (b'{"topic":"smd+6"}', 6),
        (b'{"topic":"smd+6@CME"}', 6),
        (b'{"topic":"smd+6+x"}', 6),
        (b'{"topic":"smd"}', None),
        (b'{"topic":"smd+"}', None),
        (b'{"conid":"x","topic":"smd+6"}', None),
        (b'{"conid":null,"topic":"smd+6"}', 6),
    ],
)
def test_the_conid_comes_as_a_number_as_text_or_in_the_topic(text: bytes, conid: int | None) -> None:
    assert decode(text).contract() == conid


def test_numbers_where_text_is_documented_keep_their_digits() -> None:
    frame = decode(b'{"topic":"smd+1","31":71.90,"7059":3,"_updated":"1678666665031","84":null,"86":{"a":1}}')
    assert (frame.price, frame.size, frame.updated, frame.bid, frame.ask) == ("71.90", "3", 1678666665031, None, None)


def test_bytes_that_are_not_utf8_cost_only_their_own_field() -> None:
    frame = decode(b'{"topic":"smd+1","6509":"R\xe9","31":"71.90","x":"\xff"}')
    assert frame.price == "71.90"


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_name(payload: bytes) -> None:
    with contextlib.suppress(UnreadableFrameError):
        decode(payload)


@given(st.sampled_from(GOLDEN), st.randoms(use_true_random=False))
def test_mutated_frames_are_read_or_refused(frame: bytes, dice: random.Random) -> None:
    mutated = bytearray(frame)
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(mutated))
        match dice.randrange(3):
            case 0:
                mutated[place] = dice.randrange(256)
            case 1:
                del mutated[place : place + dice.randint(1, 8)]
            case _:
                mutated[place:place] = bytes(dice.randrange(256) for _ in range(3))
        if not mutated:
            return
    with contextlib.suppress(UnreadableFrameError):
        decode(bytes(mutated)).contract()


@given(st.sampled_from(GOLDEN), st.data())
def test_a_message_cut_anywhere_is_joined(frame: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(frame) - 1), min_size=1, max_size=5)))
    pieces = [frame[a:b] for a, b in zip([0, *cuts], [*cuts, len(frame)], strict=True)]
    joiner = Joiner()
    *first, last = [joiner.add(piece, 0.0) for piece in pieces]
    assert not any(first)
    assert msgspec.structs.asdict(last)["topic"] == decode(frame).topic if last else False
    assert joiner.malformed == 0


def test_a_message_whose_end_never_comes_costs_only_itself() -> None:
    joiner = Joiner()
    assert joiner.add(FULL[:50], 0.0) is None
    complete = joiner.add(PARTIAL, 0.1)
    assert complete is not None
    assert complete.contract() == 265598
    assert joiner.malformed == 1


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (b'{"topic":"smd+1","conid":1,"31":"71.90","6', b'pic":"smd+2","conid":2,"84":"3.50"}'),
        (b'{"conid":1,"31":"71.90",', b'"84":"3.50","topic":"smd+2"}'),
        (b'{"topic":"smd+1","31":"71.90","84":"71', b'.50","conid":"2"}'),
        (b'{"topic":"smd+1","conid":1,"84":"71.80","31":"7', b'9","84":"3.50"}'),
    ],
)
def test_parts_of_two_messages_make_none(head: bytes, tail: bytes) -> None:
    joiner = Joiner()
    assert joiner.add(head, 0.0) is None
    assert joiner.add(tail, 0.1) is None
    assert joiner.malformed == 2
    assert joiner.add(FULL, 0.2) is not None


def test_pieces_wait_two_seconds_and_no_longer() -> None:
    joiner = Joiner()
    assert joiner.add(FULL[:50], 0.0) is None
    assert joiner.add(FULL[50:60], 2.1) is None
    assert joiner.add(FULL[60:], 2.2) is None
    assert joiner.add(FULL, 2.3) is not None


def test_pieces_are_bounded_in_size() -> None:
    joiner = Joiner()
    piece = b'{"topic":"' + b"x" * 100_000
    assert joiner.add(piece, 0.0) is None
    assert joiner.add(b"x" * 100_000, 0.0) is None
    assert joiner.add(b"x" * 100_000, 0.0) is None
    assert joiner.malformed >= 1
    assert joiner.add(FULL, 0.0) is not None
