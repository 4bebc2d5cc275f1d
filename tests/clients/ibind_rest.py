"""Every call of ibind's REST client, each parsed by ibind; run with the interpreter that has ibind, by a test.

What places an order or moves money is called, too: the venue must refuse it.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable
from typing import Any

from ibind import ExternalBrokerError, IbkrClient, OrderRequest
from outcomes import attempt, job, report

STOCK = "AAPL"
FUTURE_ROOT = "CL"
LIST_ID = "4711"
MODEL = "Balanced"

Call = Callable[[], Any]


def calls(client: IbkrClient, account: str, future: int) -> dict[str, Call]:
    """In the order in which they are made; arguments as in ibind's own examples where it has any."""
    stock = str(client.stock_conid_by_symbol(STOCK).data[STOCK])
    conid = str(future)
    order = OrderRequest(conid=future, side="BUY", quantity=1, order_type="MARKET", acct_id=account, coid="one")
    underlying = str(client.search_contract_by_symbol(FUTURE_ROOT).data[0]["conid"])
    day = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    return {
        "authentication_status": client.authentication_status,
        "initialize_brokerage_session": client.initialize_brokerage_session,
        "tickle": client.tickle,
        "validate": client.validate,
        "check_health": client.check_health,
        "check_auth_status": client.check_auth_status,
        "receive_brokerage_accounts": client.receive_brokerage_accounts,
        "account_summary": client.account_summary,
        "account_profit_and_loss": client.account_profit_and_loss,
        "search_dynamic_account": lambda: client.search_dynamic_account("DU"),
        "set_dynamic_account": lambda: client.set_dynamic_account(account),
        "signatures_and_owners": client.signatures_and_owners,
        "switch_account": lambda: client.switch_account(account),
        "security_definition_by_conid": lambda: client.security_definition_by_conid([conid, stock]),
        "all_conids_by_exchange": lambda: client.all_conids_by_exchange("NASDAQ"),
        "contract_information_by_conid": lambda: client.contract_information_by_conid(conid),
        "currency_pairs": lambda: client.currency_pairs("USD"),
        "currency_exchange_rate": lambda: client.currency_exchange_rate("EUR", "USD"),
        "info_and_rules_by_conid": lambda: client.info_and_rules_by_conid(conid, True),
        "algo_params_by_conid": lambda: client.algo_params_by_conid(stock, ["Adaptive", "Vwap"], "1", "1"),
        "search_bond_filter_information": lambda: client.search_bond_filter_information("BOND", "e1400715"),
        "search_contract_by_symbol": lambda: client.search_contract_by_symbol(STOCK),
        "search_contract_rules": lambda: client.search_contract_rules(conid),
        "search_secdef_info_by_conid": lambda: client.search_secdef_info_by_conid(underlying, "FUT", "", "NYMEX"),
        "search_strikes_by_conid": lambda: client.search_strikes_by_conid(stock, "OPT", "DEC26"),
        "security_future_by_symbol": lambda: client.security_future_by_symbol([FUTURE_ROOT, "NG"]),
        "security_stocks_by_symbol": lambda: client.security_stocks_by_symbol([STOCK, "MSFT"]),
        "stock_conid_by_symbol": lambda: client.stock_conid_by_symbol([STOCK, "MSFT", "QQQQ"]),
        "trading_schedule_by_symbol": lambda: client.trading_schedule_by_symbol("FUT", FUTURE_ROOT),
        "live_marketdata_snapshot": lambda: client.live_marketdata_snapshot([conid, stock], ["31", "84", "86"]),
        "live_marketdata_snapshot_by_symbol": lambda: client.live_marketdata_snapshot_by_symbol(STOCK, ["31", "55"]),
        "regulatory_snapshot": lambda: client.regulatory_snapshot(stock),
        "marketdata_history_by_conid": lambda: client.marketdata_history_by_conid(stock, "1d", period="1w"),
        "historical_marketdata_beta": lambda: again(
            404, lambda: client.historical_marketdata_beta(stock, "1d", "1min", start_time=day)
        ),
        "marketdata_history_by_symbol": lambda: client.marketdata_history_by_symbol(STOCK, "1min", period="30min"),
        "marketdata_history_by_conids": lambda: client.marketdata_history_by_conids(
            [stock, conid], "1h", "5min", raise_on_error=True
        ),
        "marketdata_history_by_symbols": lambda: client.marketdata_history_by_symbols(
            [STOCK, "MSFT"], "1h", "5min", raise_on_error=True
        ),
        "marketdata_unsubscribe": lambda: client.marketdata_unsubscribe([conid]),
        "marketdata_unsubscribe_all": client.marketdata_unsubscribe_all,
        "live_orders": lambda: client.live_orders("submitted", force=True),
        "order_status": lambda: client.order_status("1"),
        "trades": lambda: client.trades("7"),
        "place_order": lambda: client.place_order(order, {}),
        "reply": lambda: client.reply("99097238-9824-4830-84ef-46979aa22593", True),
        "whatif_order": lambda: client.whatif_order(order),
        "cancel_order": lambda: client.cancel_order("1"),
        "modify_order": lambda: client.modify_order("1", order, {}),
        "suppress_messages": lambda: client.suppress_messages(["o163"]),
        "reset_suppressed_messages": client.reset_suppressed_messages,
        "portfolio_accounts": client.portfolio_accounts,
        "portfolio_subaccounts": client.portfolio_subaccounts,
        "large_portfolio_subaccounts": client.large_portfolio_subaccounts,
        "portfolio_account_information": client.portfolio_account_information,
        "portfolio_account_allocation": client.portfolio_account_allocation,
        "portfolio_account_allocations": lambda: client.portfolio_account_allocations([account]),
        "combination_positions": client.combination_positions,
        "positions": client.positions,
        "positions2": client.positions2,
        "positions_by_conid": lambda: client.positions_by_conid(account, conid),
        "invalidate_backend_portfolio_cache": client.invalidate_backend_portfolio_cache,
        "portfolio_summary": client.portfolio_summary,
        "get_ledger": client.get_ledger,
        "position_and_contract_info": lambda: client.position_and_contract_info(conid),
        "account_performance": lambda: client.account_performance([account], "1M"),
        "all_periods": lambda: client.all_periods([account]),
        "transaction_history": lambda: client.transaction_history([account], [stock], "USD", 30),
        "scanner_parameters": client.scanner_parameters,
        "market_scanner": lambda: client.market_scanner("STK", "TOP_PERC_GAIN", "STK.US.MAJOR"),
        "hmds_scanner_parameters": client.hmds_scanner_parameters,
        "hmds_market_scanner": lambda: client.hmds_market_scanner("STK", "STK.US.MAJOR", "TOP_PERC_GAIN", "STK", []),
        "create_watchlist": lambda: client.create_watchlist(LIST_ID, "front", [{"C": future}, {"H": ""}]),
        "get_all_watchlists": client.get_all_watchlists,
        "get_watchlist_information": lambda: client.get_watchlist_information(LIST_ID),
        "delete_watchlist": lambda: client.delete_watchlist(LIST_ID),
        "fa_model_list": lambda: client.fa_model_list(1),
        "fa_model_positions": lambda: client.fa_model_positions(2, MODEL),
        "fa_model_summary": lambda: client.fa_model_summary(3, MODEL),
        "fa_model_accounts_details": lambda: client.fa_model_accounts_details(4, MODEL),
        "fa_model_save": lambda: client.fa_model_save(5, MODEL, "", True, [{"ccy": "USD", "target": 1.0}], []),
        "fa_model_invest_divest": lambda: client.fa_model_invest_divest(
            6, MODEL, [{"account": account, "amtToInvest": 1000.0}]
        ),
        "fa_model_invest_divest_positions": lambda: client.fa_model_invest_divest_positions(7, MODEL),
        "fa_model_submit_transfers": lambda: client.fa_model_submit_transfers(8, -1),
        "fa_preset_get": lambda: client.fa_preset_get(9),
        "fa_preset_save": lambda: client.fa_preset_save(10, keep_model_open=True),
        "reauthenticate": client.reauthenticate,
        "logout": client.logout,
    }


def again(status: int, call: Call) -> Any:
    """IB refuses the first such call of a session, and the client's documentation says to ask again."""
    try:
        return call()
    except ExternalBrokerError as error:
        if error.status_code != status:
            raise
        return call()


def groups() -> dict[str, str]:
    """Method -> the mixin that has it, of every method that makes a call of IB's API."""
    return {
        name: mixin.__name__.removesuffix("Mixin")
        for mixin in IbkrClient.__mro__
        if mixin.__name__.endswith("Mixin")
        for name, _ in inspect.getmembers(mixin, inspect.isfunction)
        if not name.startswith("_")
    }


def refused(error: Exception) -> str | None:
    if not isinstance(error, ExternalBrokerError):
        return None
    if error.status_code is not None:
        return f"refused: {error.status_code}"
    return "refused: error" if "While handling questions an error was returned" in str(error) else None


def main() -> None:
    asked = job()
    client = IbkrClient(
        account_id=asked["account"], url=f"{asked['url']}/v1/api/", cacert=False, timeout=10, max_retries=0
    )
    table, methods = calls(client, asked["account"], asked["future"]), groups()
    for name, call in table.items():
        attempt(methods[name].lower(), name, call, refused)
    for name in sorted(set(methods) - set(table)):
        report(methods[name].lower(), name, "not called")


if __name__ == "__main__":
    main()
