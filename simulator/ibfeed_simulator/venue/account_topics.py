"""Websocket topics about the account: ``spl``, ``ssd``, ``sld``, ``str``. ``sor`` sends nothing without orders."""

from __future__ import annotations

import msgspec

from ibfeed_simulator.venue import balances
from ibfeed_simulator.venue.balances import Row
from ibfeed_simulator.venue.users import User

Document = dict[str, object]


class TopicError(ValueError):
    """The request names another account, or has no JSON object after it."""


class Asked(msgspec.Struct, frozen=True):
    """A request such as ``{"keys": [...], "fields": [...]}``. Without either it asks for everything."""

    keys: list[str] = []
    fields: list[str] = []


def asked(rest: str, user: User) -> Asked:
    """Read the text after ``ssd+`` or ``sld+``: ``ACCOUNT+{…}``. Raises TopicError."""
    account, _, arguments = rest.partition("+")
    if account != user.account_id:
        raise TopicError(account)
    try:
        return msgspec.json.decode(arguments or "{}", type=Asked)
    except msgspec.DecodeError as error:
        raise TopicError(str(error)) from error


def profit_and_loss(user: User) -> Document:
    return {"topic": "spl", "args": balances.profit_and_loss(user.account_id)}


def trades() -> Document:
    """Return the answer that IB gave for an account without trades."""
    return {"topic": "str", "args": []}


def summary(user: User, wanted: Asked, now: float) -> Document:
    rows = balances.summary_rows(user.account_id, now, wanted.keys, wanted.fields)
    return {"result": rows, "topic": f"ssd+{user.account_id}"}


def ledger(user: User, rows: list[Row]) -> Document:
    return {"result": rows, "topic": f"sld+{user.account_id}"}
