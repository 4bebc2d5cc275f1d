"""The pages of docs/reference/ say what crds/*.yaml say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ibfeed_local.crd_reference import page, pages
from ibfeed_local.state import SOURCE

PAGES = pages(SOURCE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_committed_page_is_that_of_the_crd(path: Path) -> None:
    assert path.read_text() == PAGES[path], "run: make docs"


def definition(spec: dict[str, Any]) -> dict[str, Any]:
    """A definition whose spec has these fields."""
    properties = {"spec": {"type": "object", "properties": spec}, "status": {"type": "object", "properties": {}}}
    schema = {"type": "object", "description": "A kind.", "properties": properties}
    version = {"name": "v1", "schema": {"openAPIV3Schema": schema}, "additionalPrinterColumns": []}
    names = {"kind": "Kind", "plural": "kinds", "shortNames": ["k"]}
    return {"spec": {"group": "example.dev", "scope": "Namespaced", "names": names, "versions": [version]}}


def rows(spec: dict[str, Any]) -> list[str]:
    return [line for line in page(definition(spec)).splitlines() if line.startswith("| `")]


def test_field_has_type_default_limits_and_meaning() -> None:
    field = {"type": "integer", "default": 6, "minimum": 1, "maximum": 60, "description": "How\n  many."}
    assert rows({"months": field}) == ["| `months` | integer | `6` | 1 to 60 | How many. |"]


def test_default_that_is_false_or_empty_is_shown() -> None:
    texts = {"type": "array", "items": {"type": "string"}, "default": []}
    assert rows({"off": {"type": "boolean", "default": False}, "none": texts}) == [
        "| `off` | boolean | `false` |  |  |",
        "| `none` | list of strings | `[]` |  |  |",
    ]


def test_fields_of_a_list_are_required_and_choose() -> None:
    item = {
        "type": "object",
        "required": ["state"],
        "properties": {"state": {"type": "string", "enum": ["On", "None"]}},
    }
    found = rows({"things": {"type": "array", "maxItems": 3, "items": item}})
    assert found == [
        "| `things` | list of objects |  | at most 3 items |  |",
        "| `state` | string | required | `On`, `None` |  |",
    ]


def test_what_kubernetes_explains_is_not_explained_again() -> None:
    deep = {"type": "object", "description": "Where, as in a pod.", "properties": {"inner": {"type": "string"}}}
    outer = {"type": "object", "properties": {"affinity": deep}}
    assert "inner" not in "".join(rows({"pod": outer}))


def test_rules_are_told_in_their_own_words_once() -> None:
    rule = {"rule": "self > 0", "message": "write a\nnumber above * 0"}
    text = page(
        definition(
            {
                "a": {
                    "type": "object",
                    "properties": {"b": {"type": "integer", "x-kubernetes-validations": [rule, rule]}},
                }
            }
        )
    )
    assert text.count(r"- write a number above \* 0") == 1


def test_text_breaks_no_table() -> None:
    assert rows({"a": {"type": "string", "description": "x|y of <i>"}}) == [r"| `a` | string |  |  | x\|y of &lt;i> |"]
