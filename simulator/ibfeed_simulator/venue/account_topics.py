"""Websocket topics about the account: ``spl``, ``ssd``, ``sld``, ``str``; ``sor`` says nothing without orders."""

from __future__ import annotations

import msgspec

from ibfeed_simulator.venue import balances
from ibfeed_simulator.venue.balances import Row
from ibfeed_simulator.venue.users import User

Document = dict[str, object]


class TopicError(ValueError):
    """The account is another one, or what follows it is no JSON object."""


class Asked(msgspec.Struct, frozen=True):
    """``{"keys": [...], "fields": [...]}``; neither: everything."""

    keys: list[str] = []
    fields: list[str] = []


def asked(rest: str, user: User) -> Asked:
    """What follows ``ssd+`` or ``sld+``: ``ACCOUNT+{…}``. BadTopic."""
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
    """Seen at IB on an account without any."""
    return {"topic": "str", "args": []}


def summary(user: User, wanted: Asked, now: float) -> Document:
    rows = balances.summary_rows(user.account_id, now, wanted.keys, wanted.fields)
    return {"result": rows, "topic": f"ssd+{user.account_id}"}


def ledger(user: User, rows: list[Row]) -> Document:
    return {"result": rows, "topic": f"sld+{user.account_id}"}
