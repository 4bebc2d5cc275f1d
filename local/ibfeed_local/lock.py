"""The locked requirements: every package with its version and checksums, never where it was downloaded from."""

from __future__ import annotations

from pathlib import Path

from ibfeed_local import peers
from ibfeed_local.command import output, run
from ibfeed_local.state import SOURCE, State

UV = "uv==0.9.10"
EXTRAS = {
    "operator": ("operator",),
    "worker": ("worker",),
    "compile": ("compile",),
    "simulator": ("simulator",),
    "platform": ("platform",),
    "dev": ("operator", "worker", "simulator", "platform", "dev"),
}


def write_all(state: State) -> None:
    """Resolve the requirements of each image, of developers, and of other people's clients again."""
    log = state.log / "lock.log"
    home = state.cache / "uv"
    if not (home / "bin" / "uv").exists():
        run([state.python, "-m", "venv", home], log)
        run([home / "bin" / "python", "-m", "pip", "install", UV], log, remedy="Can this machine reach PyPI?")
    sources = {name: ["pyproject.toml", *(f"--extra={e}" for e in extras)] for name, extras in EXTRAS.items()}
    others = {name: [f"requirements/{name}.in"] for name in peers.ALL}
    for name, source in {**sources, **others}.items():
        compile_: list[str | Path] = [home / "bin" / "uv", "pip", "compile"]
        options = ["--generate-hashes", "--quiet", "--python-version=3.11", "--no-emit-index-url", "--no-header"]
        places = [f"--cache-dir={state.cache / 'uv-cache'}", f"--output-file=requirements/{name}.txt"]
        output(
            [*compile_, *source, *options, *places],
            folder=SOURCE,
            within=300,
            remedy="Can this machine reach PyPI?",
        )
