from __future__ import annotations

import pytest

from ibfeed_simulator.market import forms
from ibfeed_simulator.market.catalogue import PRODUCTS, Product
from ibfeed_simulator.market.forms import PriceForm


@pytest.mark.parametrize(
    ("tick", "ticks", "text"),
    [
        ("0.01", 7190, "71.90"),
        ("0.25", 19241, "4810.25"),
        ("0.015625", 7201, "112.515625"),
        ("1", 37750, "37750"),
        ("5", 8650, "43250"),
        ("0.01", -3763, "-37.63"),
        ("0.0000005", 14190, "0.0070950"),
    ],
)
def test_prices_keep_the_decimals_of_their_tick(tick: str, ticks: int, text: str) -> None:
    form = PriceForm.of(tick)
    assert form.text(ticks) == text
    assert form.ticks(text) == ticks


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.root)
def test_every_product_starts_on_its_tick(product: Product) -> None:
    form = PriceForm.of(product.tick)
    assert form.text(form.ticks(product.price)) == product.price


@pytest.mark.parametrize(
    ("number", "text"),
    [(999, "999"), (3_100, "3.1K"), (337_411, "337K"), (999_499, "999K"), (999_500, "1M"), (12_200_000, "12.2M")],
)
def test_rounded_volume(number: int, text: str) -> None:
    assert forms.rounded(number) == text


def test_sizes_have_commas() -> None:
    assert forms.size(1300) == "1,300"
