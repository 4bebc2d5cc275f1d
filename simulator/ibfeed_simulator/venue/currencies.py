"""Currency pairs with fixed exchange rates. IB has these pairs under these conids."""

from __future__ import annotations

from typing import Final

# Symbol -> conid, and the price of one unit of the first currency in the second.
_PAIRS: Final = {
    "AUD.USD": (14433401, 0.6610),
    "EUR.USD": (12087792, 1.0950),
    "GBP.USD": (12087797, 1.2720),
    "USD.CAD": (15016062, 1.3560),
    "USD.CHF": (12087820, 0.8790),
    "USD.JPY": (15016059, 147.20),
    "USD.SGD": (37928772, 1.3420),
}


def pairs(currency: str) -> list[dict[str, object]]:
    """Return the pairs with this currency on either side. An unknown currency has none."""
    return [
        {"symbol": symbol, "conid": conid, "ccyPair": second if first == currency else first}
        for symbol, (conid, _) in _PAIRS.items()
        for first, second in (symbol.split("."),)
        if currency in (first, second)
    ]


def rate(source: str, target: str) -> float | None:
    """Return the price of one ``source`` in ``target``. None: one of them is unknown."""
    in_dollars = {"USD": 1.0}
    for symbol, (_, price) in _PAIRS.items():
        first, second = symbol.split(".")
        in_dollars[second if first == "USD" else first] = 1 / price if first == "USD" else price
    if source not in in_dollars or target not in in_dollars:
        return None
    return round(in_dollars[source] / in_dollars[target], 8)
