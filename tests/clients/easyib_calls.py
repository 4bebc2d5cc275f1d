"""Every call of easyib; run with the interpreter that has easyib, by a test.

What places an order is called, too: the venue must refuse it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import urllib3
from easyib import REST
from outcomes import attempt, job, report


def calls(api: REST, account: str, future: int) -> dict[str, Callable[[], Any]]:
    order = {"conid": future, "orderType": "MKT", "side": "BUY", "quantity": 1, "tif": "GTC"}
    return {
        "get_accounts": api.get_accounts,
        "switch_account": lambda: api.switch_account(account),
        "get_cash": api.get_cash,
        "get_netvalue": api.get_netvalue,
        "get_conid": lambda: api.get_conid("AAPL"),
        "get_portfolio": api.get_portfolio,
        "get_order": lambda: api.get_order("1"),
        "get_live_orders": lambda: api.get_live_orders(["filled", "cancelled"]),
        "submit_orders": lambda: api.submit_orders([order]),
        "modify_order": lambda: api.modify_order("1", order),
        "reply_yes": lambda: api.reply_yes("99097238-9824-4830-84ef-46979aa22593"),
        "cancel_order": lambda: api.cancel_order("1"),
        "ping_server": api.ping_server,
        "get_auth_status": api.get_auth_status,
        "get_bars": lambda: needs(api.get_bars("AAPL", period="1w", bar="1d"), "data"),
        "get_bars of a future": lambda: needs(api.get_bars("CL", conid=future, period="1d", bar="1h"), "data"),
        "get_fut_conids": lambda: api.get_fut_conids("CL"),
        "re_authenticate": api.re_authenticate,
        "log_out": api.log_out,
    }


def needs(answer: dict[str, Any], key: str) -> Any:
    """Easyib hands back whatever came; a user goes on with this key."""
    return answer[key]


def refused(error: Exception) -> str | None:
    """Easyib takes the first of a list of replies; a rejected order is answered with none."""
    return "refused: error" if isinstance(error, KeyError) and error.args == (0,) else None


def main() -> None:
    asked = job()
    urllib3.disable_warnings()
    api = REST(url=asked["url"], ssl=False)
    table = calls(api, asked["account"], asked["future"])
    for name, call in table.items():
        attempt("all", name, call, refused)
    methods = {name for name, _ in inspect.getmembers(REST, inspect.isfunction) if not name.startswith("_")}
    for name in sorted(methods - {name.partition(" ")[0] for name in table}):
        report("all", name, "not called")


if __name__ == "__main__":
    main()
