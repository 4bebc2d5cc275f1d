"""``ibfeed report``: a bundle for a bug report."""

from __future__ import annotations

import datetime as dt
import io
import json
import platform
import tarfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

import typer

from ibfeed.cli.doctor import Context, Namespace, OperatorNamespace, json_text, quiet_http
from ibfeed.cli.options import SEE_PANEL
from ibfeed.errors import ConfigurationError

_README: Final = """A report of ibfeed, for a bug report. It holds objects, events, logs, metrics and a diagnosis.

Taken out: all values of Secrets, passwords, tokens, keys, and users and passwords in URLs (***).
Replaced: user names and account numbers, by digests (id-...) that are the same within this report only.
Left: names of objects, namespaces, nodes, images and hosts. Look through it before you send it.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(rich_help_panel=SEE_PANEL)(report)


def report(
    feed: Annotated[str, typer.Argument(metavar="[FEED]", help="The feed to diagnose. Without it: all.")] = "",
    to: Annotated[Path | None, typer.Option("--to", help="The file, a .tar.gz.", show_default=False)] = None,
    context: Context = "",
    namespace: Namespace = "",
    operator_namespace: OperatorNamespace = "ibfeed-system",
) -> None:
    """Write a bundle for a bug report: objects, events, logs, versions, and what `doctor` finds.

    It holds no value of a Secret, no password and no token; user names and account numbers become digests.
    """
    from ibfeed.bundle.gather import make_redactor, parts
    from ibfeed.cluster import connect
    from ibfeed.doctor.examination import examine

    quiet_http()
    now = dt.datetime.now(dt.UTC)
    cluster = connect(context=context, namespace=namespace)
    diagnosis = json_text(examine(cluster, feed, operator_namespace=operator_namespace))
    redact, unread = make_redactor(cluster)
    note = f"\nSecrets could not be read, so only forms of secrets were taken out: {unread}\n" if unread else ""
    whole = [
        ("README.txt", _README + note),
        ("versions.json", _versions()),
        ("doctor.json", json.dumps(redact.document(json.loads(diagnosis)), indent=1) + "\n"),
        *parts(cluster, operator_namespace, redact),
    ]
    file = to or Path(f"ibfeed-report-{now:%Y%m%d-%H%M%S}.tar.gz")
    write_bundle(file, whole, now)
    if unread:
        typer.echo(f"Secrets could not be read ({unread}): look through the report before you send it", err=True)
    typer.echo(str(file))


def write_bundle(file: Path, parts: Iterable[tuple[str, str]], now: dt.datetime) -> None:
    """Write texts into a compressed archive that only its owner may read. Raises ConfigurationError."""
    folder = file.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")
    try:
        file.touch(0o600)
        with tarfile.open(file, "w:gz") as archive:
            for path, text in parts:
                content = text.encode()
                entry = tarfile.TarInfo(f"{folder}/{path}")
                entry.size, entry.mtime, entry.mode = len(content), int(now.timestamp()), 0o600
                archive.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}; choose another with --to") from None


def _versions() -> str:
    found: dict[str, str] = {"python": platform.python_version(), "system": platform.platform()}
    for name in ("ibfeed", "confluent-kafka", "pykube-ng", "msgspec", "typer", "rich"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return json.dumps(found, indent=1) + "\n"
