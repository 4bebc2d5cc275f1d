from __future__ import annotations

from ibfeed_worker.book import LadderStaleness


def test_a_moving_quote_without_rows_shows_a_dead_ladder() -> None:
    silence = LadderStaleness()
    assert next(second for second in range(40) if silence.quote(float(second))) == 30


def test_rows_and_quiet_markets_are_no_silence() -> None:
    silence = LadderStaleness()
    assert not any(silence.quote(600.0 * renewal) for renewal in range(9))  # full frames of renewals
    silence.rows()
    for second in range(1000):
        assert not silence.quote(float(second))
        if second % 20 == 0:
            silence.rows()
