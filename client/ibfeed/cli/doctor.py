"""``ibfeed doctor``: what is wrong with a feed and with what it stands on, why, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ibfeed.cli.options import SEE_PANEL
from ibfeed.cli.recording import Output

if TYPE_CHECKING:
    from ibfeed.doctor.diagnosis import Diagnosis, Section

_COLOURS: Final = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_EPILOG: Final = (
    "Exit codes: 0 nothing is wrong; 3 only warnings, or a check could not be done; 4 an error is found; 1 the command"
    " itself failed."
)

Context = Annotated[
    str, typer.Option("--context", help="A context of the kubeconfig, instead of its current one.", show_default=False)
]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="The namespace, instead of the context's.", show_default=False)
]
OperatorNamespace = Annotated[str, typer.Option("--operator-namespace", help="Where the operator runs.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(rich_help_panel=SEE_PANEL, epilog=_EPILOG)(doctor)


def doctor(
    feed: Annotated[str, typer.Argument(metavar="[FEED]", help="Without it: all feeds of the namespace.")] = "",
    context: Context = "",
    namespace: Namespace = "",
    operator_namespace: OperatorNamespace = "ibfeed-system",
    output: Annotated[Output, typer.Option("--output", "-o", help="Form of the answer.")] = Output.TABLE,
) -> None:
    """Find what is wrong with a feed, why, and which command mends it.

    It looks at the cluster, the CRDs, rights, the operator, Kafka, credentials, IB's sessions, clocks, quotas, the
    schema registry and sinks, within ten seconds, and changes nothing. It logs in nowhere.
    """
    from ibfeed.cluster import connect
    from ibfeed.doctor.examination import examine

    quiet_http()
    diagnosis = examine(connect(context=context, namespace=namespace), feed, operator_namespace=operator_namespace)
    if output is Output.JSON:
        print(json_text(diagnosis))
    else:
        _show(diagnosis)
    raise typer.Exit(diagnosis.exit_code)


def quiet_http() -> None:
    """Keep the HTTP library from writing of certificates that the kubeconfig says not to check, and of its pool."""
    import logging
    import warnings

    warnings.filterwarnings("ignore", module="urllib3")
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def json_text(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as JSON."""
    import msgspec

    whole = {"exitCode": diagnosis.exit_code, "sections": diagnosis.sections}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()


def text_lines(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the lines for a person, with rich's markup."""
    from rich.markup import escape

    heading = None
    for section in diagnosis.sections:
        if section.feed != heading:
            heading = section.feed
            yield f"\n[bold]feed {escape(section.feed)}[/]" if section.feed else "[bold]installation[/]"
        yield f"  {section.subject:<18}{_state(section)}"
        for one in section.findings:
            colour = _COLOURS[one.severity]
            yield f"    [{colour}]{one.severity.upper()}[/] {escape(one.about)}: {escape(one.what)} ({one.code})"
            yield f"      cause: {escape(one.cause)}"
            yield f"      mend:  [bold]{escape(one.mend)}[/]"
        for why in section.unknown:
            yield f"    [yellow]not checked[/] {escape(why)}"
    yield ""
    yield _summary(diagnosis)


def _state(section: Section) -> str:
    if section.findings:
        return f"{len(section.findings)} found"
    return "[yellow]?[/]" if section.unknown else "[green]ok[/]"


def _summary(diagnosis: Diagnosis) -> str:
    counts = [
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity in _COLOURS
        if (count := sum(one.severity == severity for one in diagnosis.findings))
    ]
    unknown = sum(len(section.unknown) for section in diagnosis.sections)
    unchecked = f"; {unknown} could not be checked" if unknown else ""
    return f"{', '.join(counts) or 'nothing is wrong'}{unchecked}"


def _show(diagnosis: Diagnosis) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for line in text_lines(diagnosis):
        console.print(line, soft_wrap=True)  # so that a command can be copied whole
