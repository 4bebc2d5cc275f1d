"""Commands of README.md and docs/simulator.md that a new user types, as far as they can be tried without a cluster."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def in_context(path: str) -> bool:
    """Whether a build sees the file: the last rule of .dockerignore that fits decides, as Docker documents it."""
    seen = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        keep, pattern = rule.startswith("!"), rule.removeprefix("!")
        if _fits(pattern, path):
            seen = keep
    return seen


def _fits(pattern: str, path: str) -> bool:
    """A pattern fits a file, or a folder that it is in; ``**`` stands for any folders, ``*`` stays within one."""
    parts = [
        "(?:.*/)?" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") + "/" for part in pattern.split("/")
    ]
    return re.match("".join(parts), f"{path}/") is not None


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("Dockerfile.worker", True),
        ("worker/ibfeed_worker/main.py", True),
        ("requirements/worker.txt", True),
        ("clientportal.gw.zip", False),
        ("worker/ibfeed_worker/__pycache__/main.pyc", False),
        ("README.md", False),
    ],
)
def test_what_a_build_sees(path: str, seen: bool) -> None:
    assert in_context(path) is seen


def test_gateway_archive_of_the_readme_is_seen_by_a_build() -> None:
    archives = set(re.findall(r"GATEWAY_ARCHIVE=(\S+)", (ROOT / "README.md").read_text()))
    assert archives
    assert {archive for archive in archives if not in_context(archive)} == set()
    commented = re.findall(r"GATEWAY_ARCHIVE=(\S+\.zip)", (ROOT / "Dockerfile.worker").read_text())
    assert commented
    assert all(in_context(archive) for archive in commented)


def test_build_arguments_of_the_readme_exist() -> None:
    given = set(re.findall(r"--build-arg (\w+)=", (ROOT / "README.md").read_text()))
    known = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile.worker").read_text(), re.MULTILINE))
    assert given
    assert given <= known


def test_files_of_the_simulator_s_guide_exist() -> None:
    commands = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "simulator.md").read_text(), re.DOTALL)
    needed = re.findall(r"(?:-r|--require-hashes) (requirements/\S+)", "".join(commands))
    assert needed == ["requirements/simulator.txt"]
    assert all((ROOT / file).is_file() for file in needed)
