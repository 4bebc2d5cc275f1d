"""The rules of prose that a machine can check, over the sources and the docs (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("api", "operator", "worker", "simulator", "platform", "client", "local")
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "client/README.md"])
COLUMNS = 100
# A relative clause in the place of a subject: "Who logs in waits". A question ends with its mark, and is none.
WITHOUT_SUBJECT = re.compile(
    r"(?:^|[.:;!?]\s+|\n\s*\n\s*)(?:[-*] )?(?:Who|What|Those|Whose|Whoever|Whatever)\s+(?!(?:is|are|was|were)\s)[a-z]"
)
CODE = re.compile(r"```.*?```", re.DOTALL)


def sources(part: str) -> list[Path]:
    return sorted((ROOT / part).rglob("*.py"))


def prose_of(source: str) -> Iterator[str]:
    """Docstrings, and the comments of neighbouring lines as one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(token.start[0], token.string.lstrip("# ")) for token in tokens if token.type == tokenize.COMMENT]
    numbered = ((line - place, text) for place, (line, text) in enumerate(comments))
    for _, block in groupby(numbered, key=lambda item: item[0]):
        yield " ".join(text for _, text in block)


def without_subject(text: str) -> list[str]:
    return [text[found.start() : found.end() + 60] for found in WITHOUT_SUBJECT.finditer(text)]


@pytest.mark.parametrize("text", ["Who logs in waits.", "It ends. What comes first is sent.", "- Those gone are lost."])
def test_a_sentence_without_a_subject_is_found(text: str) -> None:
    assert without_subject(text)


@pytest.mark.parametrize("text", ["A worker that logs in waits.", "What is this?", "Somebody who waits."])
def test_a_sentence_with_a_subject_is_none(text: str) -> None:
    assert not without_subject(text)


@pytest.mark.parametrize("part", PARTS)
def test_sentences_of_the_sources_have_a_subject(part: str) -> None:
    found = {
        str(path.relative_to(ROOT)): hits
        for path in sources(part)
        if (hits := [hit for text in prose_of(path.read_text()) for hit in without_subject(text)])
    }
    assert not found


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_docs_have_subjects_and_short_lines(path: Path) -> None:
    text = CODE.sub("", path.read_text())
    assert not without_subject(text)
    wide = [line for line in text.splitlines() if len(line) > COLUMNS]
    assert not [line for line in wide if not line.lstrip().startswith(("|", "![", "[")) and "http" not in line]


@pytest.mark.parametrize("part", PARTS)
def test_a_class_name_stands_for_one_thing_within_a_part(part: str) -> None:
    trees = [ast.parse(path.read_text()) for path in sources(part)]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("part", PARTS)
def test_a_method_says_its_object(part: str) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    vague = {"take", "judge", "begin", "say"}
    found = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sources(part)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, functions) and node.name in vague
    ]
    assert found == []
