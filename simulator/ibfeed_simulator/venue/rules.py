"""Rules for orders in a contract.

They are the answer of ``/iserver/contract/rules``, and ``rules`` in ``/iserver/contract/{conid}/info-and-rules``.
"""

from __future__ import annotations

from typing import Final

from ibfeed_simulator.market.contracts import Contract
from ibfeed_simulator.market.forms import PriceForm
from ibfeed_simulator.market.stocks import Stock

_TYPES: Final = ("limit", "market", "stop", "stop_limit", "trailing_stop", "trailing_stop_limit")
_OUTSIDE: Final = ("limit", "stop_limit", "trailing_stop_limit")


def increments(contract: Contract) -> list[dict[str, float]]:
    """Return the price increment, which is the same for all prices."""
    return [{"lowerEdge": 0.0, "increment": float(contract.product.tick)}]


def rules(contract: Contract, account: str) -> dict[str, object]:
    """Return the rules. ``increment`` and ``incrementDigits`` are the product's; the rest has IB's names and types."""
    form, price = PriceForm.of(contract.product.tick), float(contract.product.price)
    size = 100 if isinstance(contract, Stock) else 1
    return {
        "algoEligible": True,
        "allOrNoneEligible": True,
        "overnightEligible": False,
        "costReport": False,
        "canTradeAcctIds": [account],
        "error": None,
        "orderTypes": list(_TYPES),
        "ibAlgoTypes": list(_OUTSIDE),
        "fraqTypes": [],
        "forceOrderPreview": False,
        "cqtTypes": [],
        "orderDefaults": {"LMT": {"LP": contract.product.price}},
        "orderTypesOutside": list(_OUTSIDE),
        "defaultSize": size,
        "cashSize": 0.0,
        "sizeIncrement": size,
        "tifTypes": ["IOC/MARKET,LIMIT,a", "GTC/o,a", "DAY/o,a"],
        "tifDefaults": {"TIF": "DAY", "SIZE": f"{size}.00"},
        "limitPrice": price,
        "stopprice": price,
        "orderOrigination": None,
        "preview": True,
        "displaySize": None,
        "fraqInt": 0,
        "cashCcy": contract.product.currency,
        "cashQtyIncr": 0,
        "priceMagnifier": None,
        "negativeCapable": False,
        "incrementType": 1,
        "incrementRules": increments(contract),
        "hasSecondary": True,
        "increment": float(contract.product.tick),
        "incrementDigits": form.decimals,
    }
