from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.symbology import MONTH_CODES, contract_month, symbol


@pytest.mark.parametrize(
    ("root", "month", "expected"),
    [("CL", "202612", "CLZ6"), ("NG", "202701", "NGF7"), ("ES", "202403", "ESH4"), ("6E", "203006", "6EM0")],
)
def test_symbol_names_the_contract_month(root: str, month: str, expected: str) -> None:
    assert symbol(root, month) == expected


def test_the_month_code_never_comes_from_the_expiry() -> None:
    # CLZ6 stops trading on 20 November 2026: its expiry's month would give CLX6.
    assert symbol("CL", contract_month("DEC26")) == "CLZ6"


@pytest.mark.parametrize("text", ["202612", "20261220", "DEC26", " dec26 "])
def test_contract_month_reads_every_form_ib_sends(text: str) -> None:
    assert contract_month(text) == "202612"


@pytest.mark.parametrize("text", ["", "202613", "2026", "XYZ26", "20261", "DEC2026", "12/2026"])
def test_contract_month_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a contract month"):
        contract_month(text)


@given(st.integers(2020, 2039), st.integers(1, 12))
def test_symbols_of_one_root_within_ten_years_differ_by_month(year: int, month: int) -> None:
    code = symbol("CL", f"{year}{month:02d}")
    assert code == f"CL{MONTH_CODES[month - 1]}{year % 10}"
