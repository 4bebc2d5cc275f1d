from __future__ import annotations

from datetime import date

import pytest

from ibfeed_worker.universe.parse import BadAnswer, Listed, contract, futures, nearest

DEC = Listed(495512552, date(2026, 12, 18), date(2026, 12, 18))


def row(conid: object, expiry: object, ltd: object = None) -> dict[str, object]:
    found = {"symbol": "CL", "conid": conid, "underlyingConid": 17340715, "expirationDate": expiry}
    return found if ltd is None else {**found, "ltd": ltd}


def test_sorted_by_expiry_with_numbers_as_text_and_senseless_rows_left_out() -> None:
    answer = {
        "CL": [
            row(3, 20270119, 20270119),
            row("1", "20261120", "20261120"),
            row(2, 20261221),
            row(9, 20261332),
            row("x", 20261221),
            "junk",
            row(2, 20261221),
        ]
    }
    assert [one.conid for one in futures(answer, "CL")] == [1, 2, 3]


def test_an_unknown_root_is_empty_and_nonsense_is_an_error() -> None:
    assert futures({}, "XX") == ()
    assert futures({"XX": []}, "XX") == ()
    for answer in ([], None, {"CL": "no"}, {"CL": [{"conid": 1}]}):
        with pytest.raises(BadAnswer):
            futures(answer, "CL")


def test_the_nearest_leave_out_what_has_expired() -> None:
    listed = futures({"CL": [row(n, 20260120 + n * 100) for n in range(1, 12)]}, "CL")
    assert [one.conid for one in nearest(listed, 3, date(2026, 5, 20))] == [4, 5, 6]
    assert [one.conid for one in nearest(listed, 3, date(2026, 5, 21))] == [5, 6, 7]
    assert [one.conid for one in nearest(listed, 99, date(2026, 11, 1))] == [10, 11]


def test_what_is_settled_in_cash_trades_on_the_day_after_ibs_ltd() -> None:
    # As recorded of ES in 2023; it traded until the opening of that third Friday.
    (listed,) = futures({"ES": [row(495512552, 20231215, 20231214)]}, "ES")
    assert nearest((listed,), 1, date(2023, 12, 15)) == (listed,)
    assert nearest((listed,), 1, date(2023, 12, 16)) == ()
    assert contract(listed, "ES", {"contract_month": "202312"}).last_trading_day == "20231215"


@pytest.mark.parametrize(
    ("info", "symbol"),
    [
        ({"contract_month": "202701"}, "CLF7"),
        ({"contract_month": "JAN27"}, "CLF7"),
        ({"contract_month": "20270119"}, "CLF7"),
        ({"contract_month": "", "local_symbol": "CLF7"}, "CLF7"),
        ({"local_symbol": "CL F27"}, "CLF7"),
        ({"contract_month": None, "local_symbol": "CLF7", "exchange": "NYMEX"}, "CLF7"),
    ],
)
def test_the_month_is_the_contracts_never_the_expirys(info: dict[str, object], symbol: str) -> None:
    # CLF7 stops trading in December 2026; a code from the expiry would say Z6.
    found = contract(Listed(5, date(2026, 12, 21), date(2026, 12, 21)), "CL", info)
    assert (found.symbol, found.contract_month, found.last_trading_day) == (symbol, "202701", "20261221")


@pytest.mark.parametrize("info", [{}, {"local_symbol": "NGF7"}, {"contract_month": "soon"}, [], None])
def test_without_a_month_there_is_no_contract(info: object) -> None:
    with pytest.raises(BadAnswer):
        contract(DEC, "CL", info)
