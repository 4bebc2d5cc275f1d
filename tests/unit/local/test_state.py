from __future__ import annotations

from pathlib import Path

import pytest

from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State, digest, write


def test_a_step_counts_as_done_only_with_the_very_inputs_it_was_done_with(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.prepare()
    assert not state.finished("kafka", "a")
    state.finish("kafka", "a")
    assert state.finished("kafka", "a")
    assert not state.finished("kafka", "b")


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    write(file, "old", mode=0o600)
    with pytest.raises(UnicodeEncodeError):
        write(file, "half \ud800")
    assert file.read_text() == "old"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_digest_sees_names_contents_and_executable_bits_but_no_byte_code(tmp_path: Path) -> None:
    tree = tmp_path / "package"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "a.py").write_text("1")
    seen = [digest(tree)]
    (tree / "inner" / "__pycache__").mkdir()
    (tree / "inner" / "__pycache__" / "a.cpython-311.pyc").write_text("compiled")
    assert digest(tree) == seen[0]
    (tree / "inner" / "a.py").write_text("2")
    seen.append(digest(tree))
    (tree / "inner" / "a.py").chmod(0o755)
    seen.append(digest(tree))
    (tree / "inner" / "a.py").rename(tree / "inner" / "b.py")
    seen.append(digest(tree))
    assert len(set(seen)) == len(seen)


def test_texts_cannot_be_moved_across_their_borders_unnoticed() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_a_folder_that_cannot_be_made_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProblemError, match="IBFEED_STATE"):
        State(tmp_path / "file" / "state").prepare()
