"""The money of a new paper account, in each form that IB gives it. Nothing is ever traded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

CASH: Final = 1_000_000.0
CURRENCY: Final = "USD"
_LEVERAGE: Final = 4.0  # buying power as a multiple of the money

# Name in the websocket's summary -> amount; REST has the names in small letters.
_AMOUNTS: Final[dict[str, float]] = {
    "AccruedCash": 0.0,
    "AvailableFunds": CASH,
    "BuyingPower": CASH * _LEVERAGE,
    "EquityWithLoanValue": CASH,
    "ExcessLiquidity": CASH,
    "FullInitMarginReq": 0.0,
    "FullMaintMarginReq": 0.0,
    "GrossPositionValue": 0.0,
    "InitMarginReq": 0.0,
    "MaintMarginReq": 0.0,
    "NetLiquidation": CASH,
    "TotalCashValue": CASH,
}
# Amounts that also exist for a segment: ``-S`` securities, ``-C`` commodities.
_SEGMENTED: Final = ("AvailableFunds", "ExcessLiquidity", "NetLiquidation", "TotalCashValue")

_LEDGER_ZEROS: Final = (
    "cashBalanceFXSegment",
    "commodityMarketValue",
    "corporateBondsMarketValue",
    "dividends",
    "funds",
    "futureMarketValue",
    "futureOptionMarketValue",
    "futuresOnlyPnl",
    "interest",
    "issuerOptionsMarketValue",
    "moneyFunds",
    "realizedPnl",
    "stockMarketValue",
    "stockOptionMarketValue",
    "tBillsMarketValue",
    "tBondsMarketValue",
    "unrealizedPnl",
    "warrantsMarketValue",
)

Row = dict[str, object]


def amounts() -> dict[str, float]:
    """Return every amount of the summary, those of the two segments included."""
    segments = {
        f"{name}-{segment}": _AMOUNTS[name] if segment == "S" else 0.0 for name in _SEGMENTED for segment in ("S", "C")
    }
    return {**_AMOUNTS, **segments}


def summary(account: str, now: float) -> dict[str, Row]:
    """Return the answer to ``/portfolio/{account}/summary``."""
    common = {"isNull": False, "timestamp": int(now * 1000), "severity": 0}
    texts = {"accountcode": account, "accountready": "true", "accounttype": "INDIVIDUAL"}
    return {
        **{name: {"amount": 0.0, "currency": None, "value": text, **common} for name, text in texts.items()},
        **{
            name.lower(): {"amount": amount, "currency": CURRENCY, "value": None, **common}
            for name, amount in amounts().items()
        },
    }


def brokerage_summary() -> Row:
    """Return the answer to ``/iserver/account/{account}/summary``."""
    return {
        "accountType": "",
        "status": "",
        "balance": CASH,
        "SMA": CASH,
        "buyingPower": CASH * _LEVERAGE,
        "availableFunds": CASH,
        "excessLiquidity": CASH,
        "netLiquidationValue": CASH,
        "equityWithLoanValue": CASH,
        "regTLoan": 0.0,
        "securitiesGVP": 0.0,
        "totalCashValue": CASH,
        "accruedInterest": 0.0,
        "regTMargin": 0.0,
        "initialMargin": 0.0,
        "maintenanceMargin": 0.0,
        "cashBalances": [{"currency": CURRENCY, "balance": CASH, "settledCash": CASH}],
    }


def brokerage_details(kind: str) -> dict[str, Row] | None:
    """Return the answer to ``/iserver/account/{account}/summary/{kind}``: texts by segment or currency.

    None: the kind is unknown.
    """
    if kind == "market_value":
        zeros = dict.fromkeys(("stock", "options", "futures", "unrealized_pnl", "realized_pnl"), "0")
        return {CURRENCY: {"total_cash": f"{CASH:,.0f}", "net_liquidation": f"{CASH:,.0f}", **zeros}}
    forms: dict[str, dict[str, float]] = {
        "available_funds": {
            "current_available": CASH,
            "current_excess": CASH,
            "buying_power": CASH * _LEVERAGE,
            "look_ahead_available": CASH,
            "look_ahead_excess": CASH,
        },
        "balances": {
            "net_liquidation": CASH,
            "equity_with_loan": CASH,
            "cash": CASH,
            "MTD Interest": 0.0,
            "previous_day_equity_with_loan": CASH,
        },
        "margins": {
            "current_initial": 0.0,
            "current_maint": 0.0,
            "look_ahead_initial": 0.0,
            "look_ahead_maint": 0.0,
            "RegT Margin": 0.0,
        },
    }
    found = forms.get(kind)
    if found is None:
        return None
    full: Row = {name: f"{amount:,.0f} {CURRENCY}" for name, amount in found.items()}
    empty: Row = dict.fromkeys(found, f"0 {CURRENCY}")
    return {"total": full, "commodities": empty, "securities": full}


def profit_and_loss(account: str) -> dict[str, Row]:
    """Return ``args`` of the ``spl`` topic, which are also ``upnl`` of ``/iserver/account/pnl/partitioned``."""
    row: Row = {"rowType": 1, "dpl": 0.0, "nl": CASH, "upl": 0.0, "el": CASH, "uel": CASH, "mv": 0.0}
    return {f"{account}.Core": row}


def ledger(account: str, now: float) -> dict[str, Row]:
    """Return the answer to ``/portfolio/{account}/ledger``: by currency, with names in small letters."""
    zeros = {name.lower(): 0.0 for name in _LEDGER_ZEROS}
    return {
        currency: {
            **zeros,
            "acctcode": account,
            "cashbalance": CASH,
            "currency": currency,
            "cryptocurrencyvalue": 0.0,
            "endofbundle": 1,
            "exchangerate": 1,
            "key": "LedgerList",
            "netliquidationvalue": CASH,
            "secondkey": currency,
            "sessionid": 1,
            "settledcash": CASH,
            "severity": 0,
            "timestamp": int(now),
        }
        for currency in (CURRENCY, "BASE")
    }


def ledger_rows(account: str, now: float, keys: Collection[str], fields: Collection[str]) -> list[Row]:
    """Return ``result`` of the ``sld`` topic for the ``keys`` and ``fields`` of the request. Empty: all of them."""
    rows: list[Row] = []
    for currency in ("BASE", CURRENCY):
        values: Row = {
            **dict.fromkeys(_LEDGER_ZEROS, 0.0),
            "cashbalance": CASH,
            "exchangeRate": 1.0,
            "netLiquidationValue": CASH,
            "secondKey": currency,
            "settledCash": CASH,
            "severity": 0,
        }
        wanted = {name: value for name, value in values.items() if not fields or name in fields}
        rows.append({"acctCode": account, **wanted, **_named(f"LedgerList{currency}", now)})
    return [row for row in rows if not keys or row["key"] in keys]


def unchanged_ledger(rows: list[Row], now: float) -> list[Row]:
    """Return the frame that follows ``rows`` each ten seconds: the names alone, as nothing has changed."""
    return [_named(str(row["key"]), now) for row in rows]


def summary_rows(account: str, now: float, keys: Collection[str], fields: Collection[str]) -> list[Row]:
    """Return ``result`` of the ``ssd`` topic for the ``keys`` and ``fields`` of the request. Empty: all of them."""
    found: dict[str, Row] = {"AccountCode": {"value": account, "severity": 0}}
    for name, amount in amounts().items():
        found[name] = {"currency": CURRENCY, "monetaryValue": amount, "severity": 0}
    return [
        {**{name: value for name, value in row.items() if not fields or name in fields}, **_named(key, now)}
        for key, row in found.items()
        if not keys or key in keys
    ]


def _named(key: str, now: float) -> Row:
    return {"key": key, "timestamp": int(now)}
