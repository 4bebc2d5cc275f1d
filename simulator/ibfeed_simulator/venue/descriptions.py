"""Descriptions of contracts and shares, as the answers about instruments have them."""

from __future__ import annotations

from datetime import date

from ibfeed_simulator.market import contracts
from ibfeed_simulator.market.contracts import MONTH_NAMES, Contract
from ibfeed_simulator.market.stocks import Stock


def month_name(contract: Contract) -> str:
    """Return the month as IB names it, such as DEC26."""
    return f"{MONTH_NAMES[int(contract.month[4:]) - 1]}{contract.month[2:4]}"


def future(contract: Contract) -> dict[str, object]:
    """Return an entry of ``/trsrv/futures``. Dates are integers."""

    def integer(day: date) -> int:
        return int(f"{day:%Y%m%d}")

    return {
        "symbol": contract.product.root,
        "conid": contract.conid,
        "underlyingConid": contracts.underlying_conid(contract.product),
        "expirationDate": integer(contract.last_trading_day),
        "ltd": integer(contract.ltd),
        "shortFuturesCutOff": integer(contract.ltd),
        "longFuturesCutOff": integer(contract.long_cut_off),
    }


def information(contract: Contract) -> dict[str, object]:
    """Return the answer to ``/iserver/contract/{conid}/info``."""
    if isinstance(contract, Stock):
        return share(contract)
    product = contract.product
    return {
        "cfi_code": "",
        "symbol": product.root,
        "cusip": None,
        "expiry_full": contract.month,
        "con_id": contract.conid,
        "maturity_date": f"{contract.last_trading_day:%Y%m%d}",
        "industry": None,
        "instrument_type": "FUT",
        "trading_class": contract.trading_class,
        "valid_exchanges": f"{product.exchange},QBALGO",
        "allow_sell_long": False,
        "is_zero_commission_security": False,
        "local_symbol": contract.symbol,
        "contract_clarification_type": None,
        "classifier": None,
        "currency": product.currency,
        "text": None,
        "underlying_con_id": contracts.underlying_conid(product),
        "r_t_h": True,
        "multiplier": product.multiplier,
        "underlying_issuer": None,
        "contract_month": contract.month,
        "company_name": product.name,
        "smart_available": False,
        "exchange": product.exchange,
        "category": None,
    }


def share(stock: Stock) -> dict[str, object]:
    """Return the answer to ``/iserver/contract/{conid}/info`` for a stock."""
    product = stock.product
    return {
        "cfi_code": "",
        "symbol": product.root,
        "cusip": None,
        "expiry_full": None,
        "con_id": stock.conid,
        "maturity_date": None,
        "industry": None,
        "instrument_type": "STK",
        "has_related_contracts": False,
        "trading_class": product.root,
        "valid_exchanges": f"SMART,{product.exchange}",
        "allow_sell_long": False,
        "is_zero_commission_security": False,
        "local_symbol": product.root,
        "contract_clarification_type": None,
        "classifier": None,
        "currency": "USD",
        "text": None,
        "underlying_con_id": 0,
        "r_t_h": True,
        "multiplier": None,
        "underlying_issuer": None,
        "contract_month": None,
        "company_name": product.name,
        "smart_available": True,
        "exchange": "SMART",
        "category": None,
    }


def definition(contract: Contract) -> dict[str, object]:
    """Return an entry of ``/iserver/secdef/info`` for a future."""
    product = contract.product
    return {
        "conid": contract.conid,
        "symbol": product.root,
        "secType": "FUT",
        "exchange": product.exchange,
        "listingExchange": product.exchange,
        "right": "?",
        "strike": 0.0,
        "currency": product.currency,
        "cusip": None,
        "coupon": "No Coupon",
        "desc1": product.root,
        "desc2": f"{month_name(contract)[:3]} {contract.last_trading_day:%d'%y} ({product.multiplier})",
        "maturityDate": f"{contract.last_trading_day:%Y%m%d}",
        "multiplier": product.multiplier,
        "tradingClass": contract.trading_class,
        "validExchanges": f"{product.exchange},QBALGO",
    }
