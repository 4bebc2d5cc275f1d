"""The documentation site: mkdocs.yml and docs/, built in strict mode."""

from __future__ import annotations

from pathlib import Path

from ibfeed_local import peers
from ibfeed_local.command import output, run
from ibfeed_local.state import SOURCE, State


def write_reference(state: State) -> str:
    """Write the pages that are made of ``crds/*.yaml``; return a word on how many there are."""
    arguments: list[str | Path] = [peers.python(state, peers.DOCS), "-m", "ibfeed_local.crd_reference", SOURCE]
    return output(arguments, environment={"PYTHONPATH": str(SOURCE / "local")}).strip()


def build(state: State) -> str:
    """Build the site; return where its first page is. Raises ProblemError, such as for a link that leads nowhere."""
    place = state.root / "site"
    mkdocs: list[str | Path] = [peers.python(state, peers.DOCS), "-m", "mkdocs"]
    remedy = "Mend the page that it names; tests/unit/local/test_docs_links.py checks links, too."
    run(
        [*mkdocs, "build", "--strict", "--site-dir", place],
        state.log / "docs.log",
        folder=SOURCE,
        remedy=remedy,
        environment={"NO_MKDOCS_2_WARNING": "1"},
    )
    return f"file://{place / 'index.html'}"
