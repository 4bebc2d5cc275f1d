from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ibfeed_api.instrument import Product
from ibfeed_worker.universe.parse import AnswerError, Listed, alive, contract, futures

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
    nonsense: list[Any] = [[], None, {"CL": "no"}, {"CL": [{"conid": 1}]}]
    for answer in nonsense:
        with pytest.raises(AnswerError):
            futures(answer, "CL")


def test_what_has_expired_is_left_out() -> None:
    listed = futures({"CL": [row(n, 20260120 + n * 100) for n in range(1, 12)]}, "CL")
    assert [one.conid for one in alive(listed, date(2026, 5, 20))][:3] == [4, 5, 6]
    assert [one.conid for one in alive(listed, date(2026, 5, 21))][:3] == [5, 6, 7]
    assert [one.conid for one in alive(listed, date(2026, 11, 1))] == [10, 11]


def test_what_is_settled_in_cash_trades_on_the_day_after_ibs_ltd() -> None:
    # As recorded of ES in 2023; it traded until the opening of that third Friday.
    (listed,) = futures({"ES": [row(495512552, 20231215, 20231214)]}, "ES")
    assert alive((listed,), date(2023, 12, 15)) == (listed,)
    assert alive((listed,), date(2023, 12, 16)) == ()
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


@pytest.mark.parametrize(
    ("local", "month"),
    [
        ("FDAX 20261218 M", "202612"),
        ("FDAX DEC 26", "202612"),
        ("FDAX  DEC 26", "202612"),
        ("FDAXZ6", "202612"),
        ("DAXZ6", "202612"),  # by the root
        ("FDAX Z26", "202612"),
        ("fdaxz6", "202612"),
    ],
)
def test_local_symbols_of_all_exchanges_name_the_month(local: str, month: str) -> None:
    info = {"local_symbol": local, "trading_class": "FDAX", "exchange": "EUREX", "multiplier": "25", "currency": "EUR"}
    found = contract(DEC, "DAX", info)
    assert (found.contract_month, found.symbol) == (month, "FDAXZ6")


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"local_symbol": "NGF7"},
        {"contract_month": "soon"},
        {"local_symbol": "CL 20269918 M"},
        {"local_symbol": "CL XXX 26"},
        {"local_symbol": "CLZ6 and more"},
        [],
        None,
    ],
)
def test_without_a_month_there_is_no_contract(info: object) -> None:
    with pytest.raises(AnswerError):
        contract(DEC, "CL", info)


@pytest.mark.parametrize(
    ("root", "info", "symbol", "product"),
    [
        ("SI", {"trading_class": "SIL", "multiplier": "1000"}, "SILZ6", Product("", "SIL", "1000")),
        ("SI", {"trading_class": "SI", "multiplier": "5000.0"}, "SIZ6", Product("", "SI", "5000")),
        ("SI", {"multiplier": 5000}, "SIZ6", Product("", "", "5000")),  # IB tells no class: the root
        ("FTMIB", {"trading_class": "MICR", "multiplier": "0.20"}, "MICRZ6", Product("", "MICR", "0.2")),
        ("HHI.HK", {"trading_class": "HHI", "exchange": "HKFE"}, "HHIZ6", Product("HKFE", "HHI")),
        ("HHI.HK", {"trading_class": None, "exchange": None}, "HHI.HKZ6", Product()),
        ("EUR", {"trading_class": "6E", "currency": "USD"}, "6EZ6", Product("", "6E", "", "USD")),
        ("X", {"trading_class": "no class", "multiplier": "many"}, "XZ6", Product("", "no class")),
    ],
)
def test_the_product_is_told_and_its_class_names_it(
    root: str, info: dict[str, object], symbol: str, product: Product
) -> None:
    found = contract(DEC, root, {"contract_month": "202612", **info})
    assert (found.symbol, found.product) == (symbol, product)


@pytest.mark.parametrize("name", ["exchange", "trading_class", "currency"])
@pytest.mark.parametrize("value", ["X" * 17, "M\u00fcnchen"])
def test_a_name_that_no_object_could_hold_is_refused(name: str, value: str) -> None:
    with pytest.raises(AnswerError, match=name):
        contract(DEC, "CL", {"contract_month": "202612", name: value})
