"""``ibfeed logs``: the log of a worker, of a contract's worker, or of logins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ibfeed.cli.options import SEE_PANEL, ContextName, FeedOption, NamespaceName, cluster, complete_logs, examples
from ibfeed.errors import MissingObjectError

if TYPE_CHECKING:
    from ibfeed.cluster import Cluster

_LOOKED_AT: Final = 20_000  # lines in which --login looks for logins
_LOGS: Final = examples(
    "ibfeed logs energy-1 -f       one worker, live",
    "ibfeed logs CLZ6              the worker that has the contract",
    "ibfeed logs energy-1 --login  its logins, its account and its gateway",
    "ibfeed logs --login           those of all workers, in the order of time",
)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(rich_help_panel=SEE_PANEL, epilog=_LOGS)(logs)


def logs(
    target: Annotated[
        str,
        typer.Argument(
            metavar="WORKER|SYMBOL",
            help="A worker such as energy-1, or a contract such as CLZ6, whose worker is meant.",
            autocompletion=complete_logs,
        ),
    ] = "",
    login: Annotated[bool, typer.Option("--login", help="Only logins. Without a target: of all workers.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", min=1, help="So many of the latest lines.")] = 100,
    raw: Annotated[bool, typer.Option("--raw", help="Print the JSON lines as they are.")] = False,
    feed: FeedOption = "",
    context: ContextName = "",
    namespace: NamespaceName = "",
) -> None:
    """Show what a worker logs, or its logins.

    Each line is time, level, event and values. Workers log no secret.
    """
    from ibfeed.cluster import load
    from ibfeed.cluster.log_lines import about_login, for_person

    if not target and not login:
        raise typer.BadParameter("name a worker or a contract, or ask for --login", param_hint="WORKER|SYMBOL")
    of = cluster(context, namespace)
    if target:
        workers = [_worker_of(of, target, feed)]
    elif follow:
        raise typer.BadParameter("follow one worker: name it, or a contract", param_hint="--follow")
    else:
        workers = [shard.name for shard in load.shards(of, feed)]
    seek = _LOOKED_AT if login else tail
    lines: Iterable[str]
    if follow:
        lines = (line for line in _following(of, workers[0], tail) if not login or about_login(line))
    else:
        found = [line for worker in workers for line in _read(of, worker, seek, alone=bool(target))]
        kept = [line for line in found if not login or about_login(line)]
        # Each line begins with its time, in one form.
        lines = (sorted(kept) if len(workers) > 1 else kept)[-tail:]
    with contextlib.suppress(KeyboardInterrupt):  # it ends what goes on
        for line in lines:
            print(line if raw else for_person(line, with_worker=len(workers) > 1), flush=follow)


def _worker_of(of: Cluster, target: str, feed: str) -> str:
    """Return the worker that is meant: a worker's own name, or that of the worker which has a contract."""
    from ibfeed.cluster import load
    from ibfeed.cluster.explain import find

    if target in {shard.name for shard in load.shards(of)}:
        return target
    found = find(target, [load.feed(of, feed)] if feed else load.feeds(of))
    workers = {contract.worker for _, contract in found if contract.worker}
    if len(workers) > 1:
        raise MissingObjectError(f"{' and '.join(sorted(workers))} have {target}: say which, or the feed with --feed")
    if not workers:
        raise MissingObjectError(f"no worker has {target}: see ibfeed why {target}")
    return workers.pop()


def _path(of: Cluster, worker: str) -> str:
    return f"/api/v1/namespaces/{of.namespace}/pods/{worker}/log"


def _read(of: Cluster, worker: str, tail: int, *, alone: bool) -> list[str]:
    """Return the latest lines. Among several workers one without a pod has none."""
    try:
        return of.text(_path(of, worker), query={"container": "worker", "tailLines": str(tail)}).splitlines()
    except MissingObjectError:
        if alone:
            raise MissingObjectError(f"{worker} has no pod now, so no log: see ibfeed status") from None
        return []


def _following(of: Cluster, worker: str, tail: int) -> Iterator[str]:
    query = {"container": "worker", "tailLines": str(tail), "follow": "true"}
    yield from of.lines(_path(of, worker), query=query)
