"""Options and exit codes that the commands about the cluster share, and what the shell completes for them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ibfeed.errors import Error

if TYPE_CHECKING:
    from ibfeed.cluster import Cluster

BAD: Final = 3  # exit code: what was asked for is there, and is not well

ACT_PANEL: Final = "Act on feeds"
SEE_PANEL: Final = "See feeds"


class Form(enum.StrEnum):
    """The forms of an answer for programs."""

    JSON = "json"
    YAML = "yaml"


ContextName = Annotated[
    str, typer.Option("--context", help="A context of the kubeconfig, instead of its current one.", show_default=False)
]
NamespaceName = Annotated[
    str, typer.Option("--namespace", "-n", help="The namespace, instead of the context's.", show_default=False)
]
OutputForm = Annotated[
    Form | None, typer.Option("--output", "-o", help="Print this form instead of tables.", show_default=False)
]


def listing(title: str, *lines: str) -> str:
    """Return lines that click prints as they are, for the end of a command's help."""
    return "\n".join(["\b", f"{title}:", *(f"  {line}" for line in lines)])


def examples(*lines: str) -> str:
    """The same of commands, each with its meaning."""
    return listing("Examples", *lines)


def cluster(context: str, namespace: str) -> Cluster:
    """Return the cluster that the two options mean. Importing it takes a third of a second, so it waits until now."""
    from ibfeed.cluster import connect

    return connect(context=context, namespace=namespace)


def _complete(names: Callable[[Cluster], list[str]]) -> Callable[[typer.Context, str], list[str]]:
    """Return a completion by names from the cluster. A cluster that does not answer completes nothing."""

    def completion(context: typer.Context, incomplete: str) -> list[str]:
        words = context.params
        try:
            found = names(cluster(words.get("context") or "", words.get("namespace") or ""))
        except Error:
            return []
        return [name for name in found if name.startswith(incomplete)]

    return completion


def _feeds(of: Cluster) -> list[str]:
    return sorted(one["metadata"]["name"] for one in of.items("ibfeeds"))


def _workers(of: Cluster) -> list[str]:
    return sorted(one["metadata"]["name"] for one in of.items("ibshards"))


def _symbols(of: Cluster) -> list[str]:
    feeds = of.items("ibfeeds")
    return sorted({one["symbol"] for feed in feeds for one in feed.get("status", {}).get("contracts", ())})


complete_feed: Final = _complete(_feeds)
complete_worker: Final = _complete(_workers)
complete_symbol: Final = _complete(_symbols)
complete_target: Final = _complete(lambda of: [*_workers(of), *_feeds(of)])
complete_logs: Final = _complete(lambda of: [*_workers(of), *_symbols(of)])

FeedOption = Annotated[
    str,
    typer.Option("--feed", help="The feed. Needed if several may be meant.", autocompletion=complete_feed),
]
FeedArgument = Annotated[
    str, typer.Argument(metavar="FEED", help="Name of the IbFeed.", autocompletion=complete_feed, show_default=False)
]
WorkerArgument = Annotated[
    str,
    typer.Argument(metavar="WORKER", help="A worker, such as energy-1.", autocompletion=complete_worker),
]
SymbolArgument = Annotated[
    str,
    typer.Argument(metavar="SYMBOL", help="A contract, such as CLZ6, or its conid.", autocompletion=complete_symbol),
]
