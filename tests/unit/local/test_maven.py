"""Jars from Maven are those that are locked, and fetched once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ibfeed_local import maven
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import SOURCE, State

CONTENT = "a jar"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """A state folder, and in the place of Maven a program that writes one jar and counts its runs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "mvn"
    program.write_text(
        "#!/bin/sh\necho run >> $RUNS\n"
        f'for word; do case "$word" in -DoutputDirectory=*) printf "{CONTENT}" > "${{word#*=}}/one.jar";; esac; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    state = State(tmp_path / "state")
    state.prepare()
    return state


def source(folder: Path, content: str) -> Path:
    (folder / "pom.xml").write_text("<project/>")
    (folder / "jars.sha256").write_text(f"{hashlib.sha256(content.encode()).hexdigest()}  one.jar\n")
    return folder


def test_jars_are_fetched_once(state: State, tmp_path: Path) -> None:
    jars = state.root / "some" / "jars"
    found = [maven.fetch(state, "some", source(tmp_path, CONTENT), jars) for _ in range(2)]
    assert found == ["1 jars", "up to date"]
    assert (jars / "one.jar").read_text() == CONTENT
    assert (tmp_path / "runs").read_text() == "run\n"


def test_jar_with_other_content_is_refused(state: State, tmp_path: Path) -> None:
    jars = state.root / "some" / "jars"
    with pytest.raises(ProblemError, match=r"are not those of .*: one.jar"):
        maven.fetch(state, "some", source(tmp_path, "another jar"), jars)
    assert not jars.exists()


def test_spark_has_one_version() -> None:
    asked = (SOURCE / "requirements" / "spark.in").read_text()
    (version,) = (line.removeprefix("pyspark==") for line in asked.splitlines() if line.startswith("pyspark=="))
    assert f"<spark>{version}</spark>" in (SOURCE / "local" / "spark" / "pom.xml").read_text()
    assert f"spark-sql-kafka-0-10_2.13-{version}.jar" in (SOURCE / "local" / "spark" / "jars.sha256").read_text()
