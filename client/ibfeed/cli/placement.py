"""``ibfeed drain``, ``undrain``, ``pin``, ``unpin``, ``suspend``, ``resume``, ``restart``: orders to feeds."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ibfeed.cli.options import (
    ACT_PANEL,
    ContextName,
    FeedArgument,
    FeedOption,
    NamespaceName,
    SymbolArgument,
    WorkerArgument,
    cluster,
    complete_target,
)
from ibfeed.errors import ClusterRefusedError, MissingObjectError, ObjectError

if TYPE_CHECKING:
    from ibfeed.cluster import Cluster
    from ibfeed.cluster.objects import Feed

_TRIES: Final = 5  # of a change that somebody else's crosses; the operator writes the feed's status all the time
_PAUSE_S: Final = 0.2


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (drain, undrain, pin, unpin, suspend, resume, restart):
        app.command(rich_help_panel=ACT_PANEL)(command)


def drain(worker: WorkerArgument, context: ContextName = "", namespace: NamespaceName = "") -> None:
    """Move a worker's contracts to the others.

    It is given no new ones, and its session stays. Each contract moves make before break. One that finds no line
    elsewhere stays, and `ibfeed status FEED` names it.
    """
    from ibfeed.cluster import load
    from ibfeed.cluster.labels import DRAIN

    of = cluster(context, namespace)
    shard = load.shard(of, worker)
    if shard.drained:
        print(f"{worker} is drained already; `ibfeed undrain {worker}` ends it")
        return
    count = sum(entry.state == "Active" for entry in shard.spec.contracts)
    of.patch("ibshards", worker, {"metadata": {"annotations": {DRAIN: "true"}}})
    print(f"{worker} is being drained of {count} contracts: ibfeed status {shard.spec.feed} --watch")


def undrain(worker: WorkerArgument, context: ContextName = "", namespace: NamespaceName = "") -> None:
    """Let a drained worker have contracts again. They come back if the feed evens loads (spec.rebalance)."""
    from ibfeed.cluster import load
    from ibfeed.cluster.labels import DRAIN

    of = cluster(context, namespace)
    shard = load.shard(of, worker)
    if not shard.drained:
        print(f"{worker} is not drained")
        return
    of.patch("ibshards", worker, {"metadata": {"annotations": {DRAIN: None}}})
    print(f"{worker} may have contracts again")


def pin(
    symbol: SymbolArgument, worker: WorkerArgument, context: ContextName = "", namespace: NamespaceName = ""
) -> None:
    """Have a contract at a certain worker.

    The pin holds whatever the loads are. The contract goes elsewhere while that worker is lost or drained, and comes
    back afterwards.
    """
    from ibfeed.cluster import load
    from ibfeed.cluster.wishes import with_pin, worker_number

    of = cluster(context, namespace)
    name, number = worker_number(worker)
    feed = load.feed(of, name)
    if number >= feed.spec.workers:
        raise ObjectError(f"{name} has no worker {worker}: it has {name}-0 to {name}-{feed.spec.workers - 1}")
    meant = _contract(feed, symbol)
    _annotate(of, name, lambda text: with_pin(text, meant, number))
    print(f"{meant} is pinned to {worker}: ibfeed why {meant}")


def unpin(
    symbol: SymbolArgument, feed: FeedOption = "", context: ContextName = "", namespace: NamespaceName = ""
) -> None:
    """Take a contract's pin away. It stays where it is, until loads are evened."""
    from ibfeed.cluster import load
    from ibfeed.cluster.labels import PIN
    from ibfeed.cluster.wishes import pins_of, without_pin

    of = cluster(context, namespace)
    feeds = [load.feed(of, feed)] if feed else load.feeds(of)
    pinned = {one.name: pins_of(one.metadata.annotations.get(PIN, "")) for one in feeds}
    having = [name for name, pins in pinned.items() if symbol.upper() in pins]
    if not having:
        all_pins = ", ".join(f"{one} at {name}" for name, pins in pinned.items() for one in pins) or "none is"
        raise MissingObjectError(f"{symbol} is not pinned; pinned: {all_pins}")
    if len(having) > 1:
        raise MissingObjectError(f"{symbol} is pinned in {' and '.join(having)}: say which with --feed")
    _annotate(of, having[0], lambda text: without_pin(text, symbol.upper()))
    print(f"{symbol.upper()} is pinned no more")


def suspend(feed: FeedArgument, context: ContextName = "", namespace: NamespaceName = "") -> None:
    """Log all workers of a feed out.

    Their pods end, and nothing is streamed until `ibfeed resume`. Assignments, partitions and epochs are kept. Use it
    to have the accounts for yourself, or over a maintenance.
    """
    _set_suspended(cluster(context, namespace), feed, suspended=True)


def resume(feed: FeedArgument, context: ContextName = "", namespace: NamespaceName = "") -> None:
    """Let a suspended feed stream again. Its workers log in one after the other."""
    _set_suspended(cluster(context, namespace), feed, suspended=False)


def restart(
    target: Annotated[
        str,
        typer.Argument(
            metavar="WORKER|FEED", help="A worker such as energy-1, or a feed.", autocompletion=complete_target
        ),
    ],
    context: ContextName = "",
    namespace: NamespaceName = "",
) -> None:
    """Restart one worker, or all of a feed.

    All of a feed restart one after the other. A worker hands its contracts over before it ends, so nothing is lost
    while the others have lines for them.
    """
    from ibfeed.cluster import load

    of = cluster(context, namespace)
    workers, feeds = [one.name for one in load.shards(of)], [one.name for one in load.feeds(of)]
    if target in workers and target in feeds:
        raise ObjectError(f"{target} is a worker and a feed: kubectl delete pod {target} restarts the worker")
    if target in workers:
        of.delete("pods", target, api="v1")
        print(f"{target} hands its contracts over and starts again: ibfeed status {target.rpartition('-')[0]} --watch")
    elif target in feeds:
        # As `kubectl rollout restart` does. The operator's apply leaves annotations of others alone.
        at = {"kubectl.kubernetes.io/restartedAt": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}
        template = {"spec": {"template": {"metadata": {"annotations": at}}}}
        of.patch("statefulsets", target, template, api="apps/v1")
        print(f"the workers of {target} restart one after the other: ibfeed status {target} --watch")
    else:
        there = ", ".join([*feeds, *workers]) or "none"
        raise MissingObjectError(f"namespace {of.namespace} has no feed or worker {target}; it has {there}")


def _set_suspended(of: Cluster, name: str, *, suspended: bool) -> None:
    from ibfeed.cluster import load

    feed = load.feed(of, name)
    if feed.spec.suspend is suspended:
        print(f"{name} is {'suspended already' if suspended else 'not suspended'}")
        return
    of.patch("ibfeeds", name, {"spec": {"suspend": suspended}})
    if suspended:
        print(f"{name} is being suspended: its {feed.status.workers} workers log out; `ibfeed resume {name}` ends it")
    else:
        print(f"{name} goes on: ibfeed status {name} --watch")


def _contract(feed: Feed, symbol: str) -> str:
    """Return the symbol of a feed's contract, given that or its conid."""
    from ibfeed.cluster.explain import find

    return find(symbol, [feed])[0][1].symbol


def _annotate(of: Cluster, name: str, change: Callable[[str], str | None]) -> None:
    """Change a feed's pins, and write them only if no one else has written meanwhile."""
    from ibfeed.cluster import load
    from ibfeed.cluster.labels import PIN

    for left in reversed(range(_TRIES)):
        found = load.feed(of, name).metadata
        annotations = {PIN: change(found.annotations.get(PIN, ""))}
        metadata = {"resourceVersion": found.resource_version, "annotations": annotations}
        try:
            of.patch("ibfeeds", name, {"metadata": metadata})
        except ClusterRefusedError as error:
            if "object has been modified" not in str(error) or not left:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
