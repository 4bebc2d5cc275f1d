from __future__ import annotations

from datetime import date

import pytest

from ibfeed_simulator.market import contracts
from ibfeed_simulator.market.catalogue import BY_ROOT, PRODUCTS, Product

TODAY = date(2026, 11, 18)


def test_conids_are_unique_and_lead_back_to_their_contract() -> None:
    listed = [contract for product in PRODUCTS for contract in contracts.listed_of(product, TODAY)]
    underlyings = [contracts.underlying_conid(product) for product in PRODUCTS]
    assert len({contract.conid for contract in listed} | set(underlyings)) == len(listed) + len(underlyings)
    for contract in listed:
        assert contracts.find(contract.conid) == contract
    for product, conid in zip(PRODUCTS, underlyings, strict=True):
        assert contracts.product_of_underlying(conid) is product
        assert contracts.find(conid) is None


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: f"{product.root}-{product.multiplier}")
def test_months_are_listed_nearest_first(product: Product) -> None:
    listed = contracts.listed_of(product, TODAY)
    days = [contract.last_trading_day for contract in listed]
    assert len(listed) == product.listed
    assert days == sorted(set(days))
    assert days[0] >= TODAY


def test_two_dozen_months_of_a_root_with_one_product_are_listed() -> None:
    single = [products[0] for products in BY_ROOT.values() if len(products) == 1]
    assert all(len(contracts.listed(product.root, TODAY)) >= 24 for product in single if product.exchange != "HKFE")


@pytest.mark.parametrize(
    ("root", "conid"), [("CL", 303608316), ("SI", 304566780), ("VX", 312531019), ("6E", 302457340)]
)
def test_conids_are_for_life(root: str, conid: int) -> None:
    assert contracts.listed(root, TODAY)[0].conid == conid


@pytest.mark.parametrize(
    ("root", "products"),
    [
        ("SI", {("COMEX", "SI", "5000", "SIZ6"), ("COMEX", "SIL", "1000", "SILZ6")}),
        (
            "DAX",
            {
                ("EUREX", "FDAX", "25", "FDAX 20261218 M"),
                ("EUREX", "FDXM", "5", "FDXM 20261218 M"),
                ("EUREX", "FDXS", "1", "FDXS 20261218 M"),
            },
        ),
        ("EAD", {("CME", "EAD", "125000", "EADZ6"), ("ICEUS", "EAD", "125000", "EADZ6")}),
        ("HHI.HK", {("HKFE", "HHI", "50", "HHIX6")}),
    ],
)
def test_the_products_of_a_root(root: str, products: set[tuple[str, ...]]) -> None:
    """Each with its nearest contract."""
    found: dict[tuple[str, ...], str] = {}
    for contract in contracts.listed(root, TODAY):
        key = (contract.product.exchange, contract.trading_class, contract.product.multiplier)
        found.setdefault(key, contract.symbol)
    assert {(*key, symbol) for key, symbol in found.items()} == products


def test_weekly_contracts_beside_the_monthly_ones() -> None:
    listed = contracts.listed("VIX", TODAY)
    assert [contract.symbol for contract in listed[:6]] == ["VXX6", "VX48X6", "VX49Z6", "VX50Z6", "VXZ6", "VX52Z6"]
    assert len({contract.last_trading_day for contract in listed}) == len(listed)
    assert {contract.month for contract in listed[2:6]} == {"202612"}


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
