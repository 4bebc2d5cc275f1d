"""``ibfeed status`` and ``ibfeed why``: how feeds are, and where a contract is."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ibfeed.cli.options import (
    BAD,
    SEE_PANEL,
    ContextName,
    FeedOption,
    NamespaceName,
    OutputForm,
    SymbolArgument,
    cluster,
    complete_feed,
    examples,
)

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from ibfeed.cluster import Cluster
    from ibfeed.cluster.explain import Explanation
    from ibfeed.cluster.overview import FeedLine, FeedPage

_LOOK_S: Final = 2.0  # between two looks of --watch
_STATUS: Final = examples(
    "ibfeed status                 all feeds of the namespace",
    "ibfeed status energy          one feed",
    "ibfeed status energy --watch  the same, live",
    "ibfeed status energy -o json  for programs",
)
_WHY: Final = examples(
    "ibfeed why CLZ6",
    "ibfeed why 712565981 -o yaml",
)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(rich_help_panel=SEE_PANEL, epilog=_STATUS)(status)
    app.command(rich_help_panel=SEE_PANEL, epilog=_WHY)(why)


def status(
    feed: Annotated[
        str,
        typer.Argument(metavar="FEED", help="One feed, with all that it has.", autocompletion=complete_feed),
    ] = "",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again every two seconds, until Ctrl-C.")
    ] = False,
    output: OutputForm = None,
    context: ContextName = "",
    namespace: NamespaceName = "",
) -> None:
    """Show all feeds, or one with all that it has.

    That is its workers, contracts, accounts and sinks, and each condition that is not well.

    Exit code 3: a feed that is shown is not Ready. So `ibfeed status energy` fits a script or a probe.
    """
    if watch and output is not None:
        raise typer.BadParameter("--watch is for people: leave out -o, or ask again from a loop", param_hint="--watch")
    of = cluster(context, namespace)
    if watch:
        _watch(lambda: _shown(of, feed)[1])
        return
    from ibfeed.cli import show

    found, page = _shown(of, feed)
    if output is not None:
        print(show.document(found, output))
    else:
        show.console().print(page)
    lines = found if isinstance(found, list) else [found.feed]
    if not all(line.ready for line in lines):
        raise typer.Exit(BAD)


def why(
    symbol: SymbolArgument,
    feed: FeedOption = "",
    output: OutputForm = None,
    context: ContextName = "",
    namespace: NamespaceName = "",
) -> None:
    """Say where a contract is, and why.

    Worker, account, partition, epoch, since when, last tick and standby; if it is not well, the cause and what to do.

    Exit code 3: the contract is not published.
    """
    from ibfeed.cli import show
    from ibfeed.cluster import explain, load

    of, now = cluster(context, namespace), dt.datetime.now(dt.UTC)
    feeds = [load.feed(of, feed)] if feed else load.feeds(of)
    shards, answers = load.shards(of), []
    for one, contract in explain.find(symbol, feeds):
        mine = [shard for shard in shards if shard.spec.feed == one.name]
        accounts = load.accounts_if_allowed(of, one, mine)
        answers.append(explain.explain(one, contract, mine, accounts, load.news(of, one), now))
    if output is not None:
        print(show.document(answers, output))
    else:
        for answer in answers:
            show.console().print(_explained(answer), soft_wrap=True)
    if not all(answer.publishing for answer in answers):
        raise typer.Exit(BAD)


def _shown(of: Cluster, name: str) -> tuple[list[FeedLine] | FeedPage, Group]:
    from ibfeed.cluster import load, overview

    if not name:
        lines = [overview.feed_line(one) for one in load.feeds(of)]
        return lines, _list(of, lines)
    feed = load.feed(of, name)
    shards = load.shards(of, name)
    page = overview.feed_page(feed, shards, load.sinks(of), load.accounts_if_allowed(of, feed, shards))
    return page, _page(page)


def _watch(look: Callable[[], RenderableType]) -> None:
    """Show what ``look`` gives again and again. Ctrl-C ends it, and so does an error."""
    from rich.live import Live

    from ibfeed.cli import show

    screen = show.console()
    with contextlib.suppress(KeyboardInterrupt):
        if not sys.stdout.isatty():
            while True:
                screen.print(look())
                time.sleep(_LOOK_S)
        with Live(look(), console=screen, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(_LOOK_S)
                live.update(look(), refresh=True)


# The output.


def _list(of: Cluster, lines: list[FeedLine]) -> Group:
    from rich.console import Group

    from ibfeed.cli import show

    if not lines:
        return Group(f"namespace {of.namespace} has no IbFeed: apply one, or choose another with -n")
    now = dt.datetime.now(dt.UTC)
    columns = ("NAME", "READY", "CONTRACTS", "PUBLISHING", "WORKERS", "SINCE", "MESSAGE")
    return Group(show.grid(columns, (_feed_row(line, now) for line in lines)))


def _feed_row(line: FeedLine, now: dt.datetime) -> tuple[str, ...]:
    from ibfeed.cli import show

    return (
        line.name,
        show.truth(line.ready, str(line.ready)),
        str(line.contracts),
        show.truth(line.publishing == line.contracts, str(line.publishing)),
        show.truth(line.workers >= line.wanted_workers, f"{line.workers}/{line.wanted_workers}"),
        show.age(line.since, now),
        show.plain(line.message),
    )


def _page(page: FeedPage) -> Group:
    from rich.console import Group

    from ibfeed.cli import show
    from ibfeed.cli.account import account_lines

    now = dt.datetime.now(dt.UTC)
    columns = ("NAME", "READY", "CONTRACTS", "PUBLISHING", "WORKERS", "SINCE", "MESSAGE")
    parts: list[RenderableType] = [show.grid(columns, [_feed_row(page.feed, now)])]
    if page.problems:
        rows = ((one.type, show.truth(False, one.status), one.reason, show.plain(one.message)) for one in page.problems)
        parts += ["", show.grid(("CONDITION", "STATUS", "REASON", "MESSAGE"), rows)]
    parts += ["", *_tables(page, now)]
    if page.accounts is not None:
        parts += ["", *account_lines(page.accounts, now)]
    else:
        parts += ["", "accounts: not shown, since you may not read Leases in this namespace"]
    if page.sinks:
        sinks = (
            (
                one.name,
                show.truth(one.ready, str(one.ready)),
                show.plain(one.destination),
                "-" if one.lag is None else str(one.lag),
                "-" if one.latency_p99_ms is None else f"{one.latency_p99_ms} ms",
                show.plain(one.message),
            )
            for one in page.sinks
        )
        parts += ["", show.grid(("SINK", "READY", "DESTINATION", "LAG", "P99", "MESSAGE"), sinks)]
    return Group(*parts)


def _tables(page: FeedPage, now: dt.datetime) -> Iterable[RenderableType]:
    from ibfeed.cli import show

    workers = (
        (
            one.name,
            show.truth(one.session == "Streaming", one.session or "-"),
            "-" if one.account is None else str(one.account),
            str(one.contracts),
            show.truth(one.publishing == one.contracts, str(one.publishing)),
            str(one.standbys),
            show.age(one.last_tick, now),
            show.plain(one.message),
        )
        for one in page.workers
    )
    columns = ("WORKER", "SESSION", "ACCOUNT", "CONTRACTS", "PUBLISHING", "STANDBYS", "LAST TICK", "MESSAGE")
    yield show.grid(columns, workers)
    contracts = (
        (
            one.symbol,
            one.worker or show.truth(False, "none"),
            show.truth(one.state == "publishing", one.state),
            str(one.partition),
            one.standby or "-",
            show.age(one.last_tick, now),
            show.plain(one.message),
        )
        for one in page.contracts
    )
    yield ""
    yield show.grid(("CONTRACT", "WORKER", "STATE", "PARTITION", "STANDBY", "LAST TICK", "MESSAGE"), contracts)


def _explained(answer: Explanation) -> str:
    from ibfeed.cli import show

    first, *rest = answer.sentences
    head = show.truth(True, show.plain(first)) if answer.publishing else show.truth(False, show.plain(first))
    lines = [head, *(show.plain(line) for line in rest)]
    if answer.advice:
        lines += ["", "[bold]What to do:[/]", *(f"  {show.plain(line)}" for line in answer.advice)]
    if answer.events:
        lines += ["", "[bold]Events:[/]", *(f"  {show.plain(line)}" for line in answer.events)]
    return "\n".join(lines)
