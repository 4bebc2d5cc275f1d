"""Past prices: a flat line that ends at the last price, in the forms of REST and of the ``smh`` topic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from ibfeed_simulator.market.exchange import Exchange, Instrument
from ibfeed_simulator.market.forms import PriceForm

_MAX_POINTS: Final = 1000
_SECONDS: Final = {"S": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800, "m": 2_592_000, "y": 31_536_000}
# HMDS has its own words for the sizes of bars.
_HMDS_UNITS: Final = {"secs": "S", "mins": "min", "hrs": "h"}

Bar = dict[str, float | int]


class SpanError(ValueError):
    """The text is no period, or no size of a bar."""


def seconds(text: str) -> int:
    """Return the seconds of a period: 300 for ``5min``; HMDS writes ``5mins``. Raises SpanError."""
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzS")
    word = text[len(digits) :]
    unit = _SECONDS.get(_HMDS_UNITS.get(word, word))
    if unit is None or not (digits.isascii() and digits.isdigit()) or not int(digits):
        raise SpanError(text)
    return int(digits) * unit


def line(price: float, period: int, bar: int, now: float) -> list[Bar]:
    """Return bars of ``bar`` seconds over ``period`` seconds, at most a thousand. The last one holds ``now``."""
    count = max(1, min(_MAX_POINTS, period // bar))
    end = int(now // bar * bar)
    return [
        {"o": price, "c": price, "h": price, "l": price, "v": 0.0, "t": (end - bar * (count - 1 - index)) * 1000}
        for index in range(count)
    ]


def history(exchange: Exchange, instrument: Instrument, asked: dict[str, str], now: float) -> dict[str, object]:
    """Return the answer to ``/iserver/marketdata/history``.

    ``asked`` has ``period``, ``bar`` and ``outsideRth``. Raises SpanError.
    """
    period, bar = asked.get("period", "1d"), seconds(asked.get("bar", "5min"))
    exchange.refresh(instrument)
    price = float(instrument.source.last())
    product = instrument.contract.product
    found = line(price, seconds(period), bar, now)
    start = datetime.fromtimestamp(int(found[0]["t"]) / 1000, UTC)
    scale = 10 ** PriceForm.of(product.tick).decimals
    return {
        "serverId": str(instrument.contract.conid),
        "symbol": product.root,
        "text": product.name,
        "priceFactor": scale,
        "startTime": f"{start:%Y%m%d-%H:%M:%S}",
        "high": f"{round(price * scale)}/0/0",
        "low": f"{round(price * scale)}/0/0",
        "timePeriod": period,
        "barLength": bar,
        "mdAvailability": "S",
        "mktDataDelay": 0,
        "outsideRth": asked.get("outsideRth", "false").lower() == "true",
        "tradingDayDuration": 1380,
        "volumeFactor": 1,
        "priceDisplayRule": 1,
        "priceDisplayValue": "2",
        "negativeCapable": False,
        "messageVersion": 2,
        "data": found,
        "points": len(found) - 1,
        "travelTime": 48,
    }
