"""``ibfeed plan``: what would move, and why, before an edited spec is applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ibfeed.cli.options import BAD, SEE_PANEL, ContextName, NamespaceName, OutputForm, cluster, examples
from ibfeed.errors import ConfigurationError, MissingObjectError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ibfeed.cluster import Cluster
    from ibfeed.cluster.console import ConsoleWay
    from ibfeed.cluster.plan import PlannedFeed

    # Asks the operator's side for the plan of a feed, by name, with an edited spec: (cluster, feed, spec, way).
    Ask = Callable[[Cluster, str, dict[str, Any], ConsoleWay], dict[str, Any]]

_PLAN: Final = examples(
    "ibfeed plan -f energy.yaml               before kubectl apply -f energy.yaml",
    "kubectl get ibf energy -o yaml | sed 's/workers: 3/workers: 4/' | ibfeed plan -f -",
)


def ask_console(of: Cluster, name: str, spec: dict[str, Any], way: ConsoleWay) -> dict[str, Any]:
    """Ask the console in the cluster, which has the operator's planner."""
    from ibfeed.cluster.console import ask_for_plan

    return ask_for_plan(of, name, spec, way)


def register(app: typer.Typer, ask: Ask = ask_console) -> None:
    """Add the command to the command line."""

    def plan(
        file: Annotated[Path, typer.Option("--file", "-f", help="The edited IbFeed as YAML or JSON; - is stdin.")],
        output: OutputForm = None,
        context: ContextName = "",
        namespace: NamespaceName = "",
        operator_namespace: Annotated[str, typer.Option(help="Where the operator is.")] = "ibfeed-system",
        service_account: Annotated[
            str, typer.Option(help="Ask as this ServiceAccount (namespace/name) instead of as yourself.")
        ] = "",
    ) -> None:
        """Say what would move if an edited spec were applied.

        The planner of the operator decides, on how the feed is now; nothing is written. The API server checks the spec
        first, as it would at `kubectl apply`.

        Exit code 3: a contract would be without a worker.
        """
        from ibfeed.cli import show
        from ibfeed.cluster.console import ConsoleWay
        from ibfeed.cluster.plan import read_plan

        manifest = _manifest(file)
        name, written = manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")
        of = cluster(context, namespace or written)
        way = ConsoleWay(context, operator_namespace, service_account=service_account)
        found = read_plan(ask(of, name, _checked(of, name, manifest), way))
        if output is not None:
            print(show.document(found, output))
        else:
            for part in planned(found):
                show.console().print(part)
        if found.leaves_out:
            raise typer.Exit(BAD)

    app.command(rich_help_panel=SEE_PANEL, epilog=_PLAN)(plan)


def _manifest(file: Path) -> dict[str, Any]:
    """Return the first IbFeed of a file.

    Raises:
        ConfigurationError: the file cannot be read, or has none.
    """
    import sys

    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        documents = list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{file} cannot be read ({type(error).__name__}): name a file of YAML") from None
    for one in documents:
        named = isinstance(one, dict) and isinstance(one.get("metadata"), dict) and one["metadata"].get("name")
        if named and one.get("kind") == "IbFeed" and isinstance(one.get("spec"), dict):
            return dict(one)
    raise ConfigurationError(
        f"{file} has no IbFeed: write kind, metadata.name and spec, as kubectl get ibf -o yaml does"
    )


def _checked(of: Cluster, name: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the spec with all defaults, as the API server would keep it."""
    try:
        present = of.get("ibfeeds", name)
    except MissingObjectError:
        raise MissingObjectError(
            f"namespace {of.namespace} has no IbFeed {name}: a new feed moves nothing, so apply it"
        ) from None
    edited = {**present, "spec": manifest["spec"]}
    spec: dict[str, Any] = of.replace("ibfeeds", name, edited, dry_run=True)["spec"]
    return spec


def planned(plan: PlannedFeed) -> Iterable[RenderableType]:
    """Return the lines and tables of a plan."""
    from ibfeed.cli import show
    from ibfeed.cluster.plan import summary

    yield show.plain(summary(plan))
    if plan.changes:
        rows = (
            (
                show.truth(False, one.kind) if one.kind == "unassigned" else one.kind,
                one.symbol,
                one.source or "-",
                one.target or "-",
                show.plain(one.reason) + (" (also without the edit)" if one.anyway else ""),
            )
            for one in plan.changes
        )
        yield ""
        yield show.grid(("CHANGE", "CONTRACT", "FROM", "TO", "WHY"), rows)
    workers = (
        (
            one.worker,
            one.change,
            show.truth(one.account is not None, "none" if one.account is None else str(one.account)),
            f"{one.contracts_before} -> {one.contracts_after}",
            f"{one.standbys_before} -> {one.standbys_after}",
            str(one.lines),
        )
        for one in plan.workers
    )
    yield ""
    yield show.grid(("WORKER", "CHANGE", "ACCOUNT", "CONTRACTS", "STANDBYS", "LINES"), workers)
    if plan.notes:
        yield ""
        yield from (show.plain(note) for note in plan.notes)
