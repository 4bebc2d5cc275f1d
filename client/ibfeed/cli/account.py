"""``ibfeed account``: the paper accounts of a feed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ibfeed.cli.options import (
    BAD,
    SEE_PANEL,
    ContextName,
    FeedOption,
    NamespaceName,
    OutputForm,
    cluster,
    complete_feed,
    examples,
    listing,
)
from ibfeed.errors import MissingObjectError, ObjectError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ibfeed.cluster.accounts import Accounts

_LIST: Final = listing(
    "States",
    "in use     a worker holds it",
    "free       it waits for a worker",
    "refused    logins failed; it is tried again at the time shown",
    "yielding   somebody else took its session; its worker stays away until then",
    "parked     there is evidence against it: check user name and password, then `ibfeed account reset N`",
)
_RESET: Final = examples(
    "ibfeed account reset 3",
    "ibfeed account reset 3 --feed energy",
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Show paper accounts, and have one tried again.",
)


def register(parent: typer.Typer) -> None:
    """Add the commands to the command line."""
    parent.add_typer(app, name="account", rich_help_panel=SEE_PANEL)


@app.command("list", epilog=_LIST)
def list_accounts(
    feed: Annotated[
        str,
        typer.Argument(metavar="FEED", help="One feed. Without it: all.", autocompletion=complete_feed),
    ] = "",
    output: OutputForm = None,
    context: ContextName = "",
    namespace: NamespaceName = "",
) -> None:
    """Show accounts, failed logins and penalties.

    Of each account its state, its worker, IB's words on failed logins, and the next try.

    Exit code 3: an account is parked, refused, or left to somebody else, or the login page is in trouble.
    """
    from ibfeed.cli import show
    from ibfeed.cluster import load

    of = cluster(context, namespace)
    feeds = [load.feed(of, feed)] if feed else load.feeds(of)
    shards = load.shards(of)
    found = [load.accounts(of, one, [shard for shard in shards if shard.spec.feed == one.name]) for one in feeds]
    if output is not None:
        print(show.document(found, output))
    else:
        now = dt.datetime.now(dt.UTC)
        for accounts in found:
            if len(found) > 1:
                print(f"{accounts.feed}:")
            for line in account_lines(accounts, now):
                show.console().print(line)
    if any(accounts.bad for accounts in found):
        raise typer.Exit(BAD)


@app.command(epilog=_RESET)
def reset(
    number: Annotated[int, typer.Argument(metavar="N", help="The account's number.", show_default=False)],
    feed: FeedOption = "",
    context: ContextName = "",
    namespace: NamespaceName = "",
) -> None:
    """Have an account tried at once.

    All that is held against it is forgotten. Check its user name and password first: each refusal counts at IB, which
    locks a user after a few. The forms sent within a day stay on record. While IB's login page fails for several
    accounts alike, that is forgotten, too.
    """
    from ibfeed.cluster import load
    from ibfeed.cluster.accounts import RESET, RESET_PAGE

    of = cluster(context, namespace)
    one = load.only_feed(of, feed)
    accounts = load.accounts(of, one, load.shards(of, one.name))
    account = accounts.find(number)
    if account is None:
        last = one.spec.accounts.indices[-1]
        raise MissingObjectError(f"{one.name} has no account {number}: it has {one.spec.accounts.first} to {last}")
    if not account.lease:
        raise ObjectError(f"account {number} of {one.name} was never used: there is nothing to reset")
    troubled = any(number in trouble.accounts for trouble in accounts.page_troubles)
    if not (account.bad or account.failed or troubled):
        print(f"account {number} is {account.state.value}, and nothing is held against it")
        return
    of.patch("leases", account.lease, {"metadata": {"annotations": dict(RESET)}}, api=load.LEASES)
    print(f"account {number} was {account.state.value}; that is forgotten, and a worker that needs it tries it at once")
    if troubled:
        of.patch("leases", accounts.logins_lease, {"metadata": {"annotations": dict(RESET_PAGE)}}, api=load.LEASES)
        print(f"the trouble of the login page is forgotten, so all accounts of {accounts.source} are tried")


def account_lines(accounts: Accounts, now: dt.datetime) -> Iterable[RenderableType]:
    """Return a table of accounts, and lines on penalties and the login page."""
    from ibfeed.cli import show
    from ibfeed.cluster.times import utc

    rows = (
        (
            str(one.index),
            show.truth(not one.bad, one.state.value),
            one.worker or "-",
            str(one.failed),
            show.age(one.since, now),
            utc(one.next_try) if one.next_try is not None else "-",
            show.plain("; ".join(filter(None, (one.reason, *one.said)))),
        )
        for one in accounts.accounts
    )
    yield show.grid(("ACCOUNT", "STATE", "WORKER", "FAILED", "FOR", "NEXT TRY", "SAID"), rows)
    for trouble in accounts.page_troubles:
        those = ", ".join(map(str, trouble.accounts))
        again = f"; the next try is at {utc(trouble.next_try)}" if trouble.next_try is not None else ""
        text = f"the login page fails for accounts {those} alike ({trouble.reason}: {trouble.text}){again}"
        yield show.truth(False, show.plain(text))
    for penalty in accounts.penalties:
        text = f"IB asked {penalty.address} for silence (429): its workers ask nothing until {utc(penalty.until)}"
        yield show.truth(False, show.plain(text))
