from __future__ import annotations

from datetime import date

import pytest

from ibfeed_simulator.market import contracts
from ibfeed_simulator.market.catalogue import PRODUCTS

TODAY = date(2026, 11, 18)


def test_conids_are_unique_and_lead_back_to_their_contract() -> None:
    listed = [contract for product in PRODUCTS for contract in contracts.listed(product.root, TODAY)]
    underlyings = [contracts.underlying_conid(product) for product in PRODUCTS]
    assert len({contract.conid for contract in listed} | set(underlyings)) == len(listed) + len(underlyings)
    for contract in listed:
        assert contracts.find(contract.conid) == contract
    for product, conid in zip(PRODUCTS, underlyings, strict=True):
        assert contracts.product_of_underlying(conid) is product
        assert contracts.find(conid) is None


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.root)
def test_two_dozen_months_are_listed_nearest_first(product: contracts.Product) -> None:
    listed = contracts.listed(product.root, TODAY)
    days = [contract.last_trading_day for contract in listed]
    assert len(listed) >= 24
    assert days == sorted(days)
    assert days[0] >= TODAY


def test_the_month_of_energy_is_not_the_month_of_its_expiry() -> None:
    front = contracts.listed("CL", TODAY)[0]
    assert (front.symbol, front.month, front.last_trading_day) == ("CLZ6", "202612", date(2026, 11, 20))


def test_a_contract_trades_on_its_last_day_and_is_gone_on_the_next() -> None:
    assert contracts.listed("CL", date(2026, 11, 20))[0].symbol == "CLZ6"
    assert contracts.listed("CL", date(2026, 11, 21))[0].symbol == "CLF7"


def test_unknown_roots_and_conids() -> None:
    assert contracts.listed("XX", TODAY) == ()
    assert contracts.find(265598) is None
    assert contracts.product_of_underlying(265598) is None
