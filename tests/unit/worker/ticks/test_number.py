from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_worker.ticks.number import NumberError, read, read_once


@pytest.mark.parametrize(
    ("text", "digits", "mark"),
    [
        ("71.90", "71.90", ""),
        ("C419.00", "419.00", "C"),
        ("H3913.25", "3913.25", "H"),
        ("C-37.63", "-37.63", "C"),
        ("1,300", "1300", ""),
        ("1,234,567.5", "1234567.5", ""),
        ("12.2M", "12200000", ""),
        ("1.2345678M", "1234567.8", ""),
        ("3.1K", "3100", ""),
        ("2B", "2000000000", ""),
        ("0.54%", "0.54", ""),
        ("+1.5", "1.5", ""),
        (".5", "0.5", ""),
        ("5.", "5", ""),
        ("007", "7", ""),
        ("0", "0", ""),
        ("1.22E7", "12200000", ""),
        (" 12 ", "12", ""),
    ],
)
def test_ibs_forms(text: str, digits: str, mark: str) -> None:
    reading = read(text)
    assert reading is not None
    assert (bytes(reading.digits).decode(), reading.mark) == (digits, mark)


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_value_takes_the_field_back(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text", ["C", "-", ".", "1,3", "1,,300", "1.2.3", "110'16", "NaN", "Infinity", "1e999", "x1", "9" * 41]
)
def test_what_is_no_number_is_refused_rather_than_guessed(text: str) -> None:
    with pytest.raises(NumberError):
        read(text)


@given(st.text(max_size=50) | st.from_regex(r"[CH]?[+-]?[\d,]{0,12}\.?\d{0,8}(E-?\d{1,2})?[KMB%]?", fullmatch=True))
def test_any_text_is_read_as_a_json_number_or_refused(text: str) -> None:
    try:
        reading = read_once(text)
    except NumberError:
        return
    if reading is not None:
        json.loads(bytes(reading.digits), parse_float=Decimal)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9), st.booleans())
def test_no_digit_is_lost(value: Decimal, grouped: bool) -> None:
    reading = read(f"{value:,f}" if grouped else f"{value:f}")
    assert reading is not None
    assert Decimal(bytes(reading.digits).decode()) == value
    assert bytes(reading.digits).decode() == f"{value:f}"


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=0, max_value=9999), st.sampled_from("KMB")
)
def test_units_shift_the_point_exactly(value: Decimal, unit: str) -> None:
    reading = read(f"{value}{unit}")
    assert reading is not None
    assert Decimal(bytes(reading.digits).decode()) == value * 10 ** {"K": 3, "M": 6, "B": 9}[unit]
