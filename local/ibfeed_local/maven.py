"""Jars from Maven. A folder of the sources says which: ``pom.xml`` their versions, ``jars.sha256`` their contents."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from ibfeed_local.command import run
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State, digest

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM, _CHECKSUMS = "pom.xml", "jars.sha256"


def fetch(state: State, name: str, source: Path, jars: Path) -> str:
    """Bring the jars that ``source`` names into the folder ``jars``; return a word on what was done.

    Raises ProblemError if they cannot be had, or are not those that were locked.
    """
    wanted = digest(source / _POM, source / _CHECKSUMS)
    if state.finished(name, wanted) and jars.is_dir():
        return "up to date"
    partial = jars.with_name("jars.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    run(
        [
            *("mvn", "--batch-mode", "--strict-checksums", f"-Dmaven.repo.local={state.cache / 'maven'}"),
            *("-f", source / _POM, _COPY, f"-DoutputDirectory={partial}", "-DincludeScope=runtime"),
        ],
        state.log / "maven.log",
        remedy="Can this machine reach Maven Central, or the mirror of its settings.xml?",
    )
    _verify(partial, source / _CHECKSUMS)
    shutil.rmtree(jars, ignore_errors=True)
    partial.rename(jars)
    state.finish(name, wanted)
    return f"{len(list(jars.iterdir()))} jars"


def _verify(jars: Path, checksums: Path) -> None:
    locked = set(checksums.read_text().splitlines())
    found = {f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}" for jar in jars.iterdir()}
    if other := sorted(line.split()[1] for line in found ^ locked):
        raise ProblemError(
            f"jars from Maven are not those of {checksums}: {', '.join(sorted(set(other)))}",
            f"After a change of the versions, write it again: cd {jars} && sha256sum * > {checksums}",
        )
