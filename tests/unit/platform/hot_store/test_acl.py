from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ibfeed_platform.hot_store.acl import acl_lines, user_of
from ibfeed_platform.hot_store.keys import Keys

PLATFORM = Path(__file__).parents[4] / "platform"


def test_lines_hold_digests_and_no_passwords() -> None:
    lines = acl_lines([user_of("writer sink secret"), user_of("team power other")], Keys("energy"))
    assert lines[0].startswith("user default off")
    assert f"#{hashlib.sha256(b'secret').hexdigest()}" in lines[1]
    assert "secret" not in "".join(lines)


def test_a_team_reads_its_own_keys_alone() -> None:
    line = acl_lines([user_of("team power x")], Keys("energy"))[1]
    assert "%R~ibfeed:energy:team:power:* " in line
    assert line.count("~") == 1
    assert not {"+scan", "+keys", "+hset", "+set"} & set(line.split())


def test_a_reader_sees_no_team() -> None:
    line = acl_lines([user_of("reader eye x")], Keys("energy"))[1]
    assert "%R~ibfeed:energy:tick:*" in line
    assert "team" not in line


@pytest.mark.parametrize("line", ["team power", "king power s3cret", "team power s3cret more"])
def test_a_line_that_is_none_is_refused_without_its_password(line: str) -> None:
    with pytest.raises(ValueError, match="a line must be") as failure:
        user_of(line)
    assert "s3cret" not in str(failure.value)


def test_the_command_prints_the_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ibfeed_platform.hot_store", "energy", "mine"],
        input="writer sink s3cret\n",
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{PLATFORM}:{PLATFORM.parent / 'client'}"},
    )
    assert done.stdout.splitlines()[1].startswith("user sink on #")
    assert "~mine:energy:* " in done.stdout
    assert "s3cret" not in done.stdout
