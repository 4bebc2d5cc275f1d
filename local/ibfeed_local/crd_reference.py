"""Pages of the reference, one for each custom resource definition, made of ``crds/*.yaml``.

It runs in the environment of the site's generator, since it reads YAML: ``python -m ibfeed_local.crd_reference FOLDER``
writes the pages of the repository in FOLDER.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

COLUMNS: Final = 100
KINDS: Final = {"ibfeeds": "IbFeed", "ibsinks": "IbSink", "ibshards": "IbShard"}
AS_IN_A_POD: Final = "as in a pod"  # fields that Kubernetes' own documentation explains

Node = Mapping[str, Any]


def pages(root: Path) -> dict[Path, str]:
    """Return path and text of each page."""
    found = {}
    for plural, kind in KINDS.items():
        document = yaml.safe_load((root / "crds" / f"{plural}.yaml").read_text())
        found[root / "docs" / "reference" / f"{kind.lower()}.md"] = page(document)
    return found


def page(document: Node) -> str:
    """Return the page of one CustomResourceDefinition, of its newest version."""
    return "\n".join(_page(document))


def _page(document: Node) -> Iterator[str]:
    names, version = document["spec"]["names"], document["spec"]["versions"][-1]
    schema = version["schema"]["openAPIV3Schema"]
    kind, plural = names["kind"], names["plural"]
    yield from (f"# {kind}", "")
    yield from _wrapped(f"`make docs` writes this page from `crds/{plural}.yaml`. Change that file, not this one.")
    yield from _wrapped(_text(schema))
    api = f"`{document['spec']['group']}/{version['name']}`"
    known = f"API version {api}, {document['spec']['scope'].lower()}, short name `{names['shortNames'][0]}`."
    yield from _wrapped(f"{known} [Conditions and reasons](conditions.md) says what the status tells.")
    yield from _rules([schema])
    yield from _part(schema["properties"]["spec"], "spec")
    yield from _part(schema["properties"]["status"], "status")
    yield from ("## Columns of `kubectl get`", "", "| column | from | meaning |", "|---|---|---|")
    for column in version["additionalPrinterColumns"]:
        wide = " (`-o wide`)" if column.get("priority") else ""
        yield f"| {column['name']}{wide} | `{_cell(column['jsonPath'])}` | {_cell(column.get('description', ''))} |"
    yield ""


def _part(node: Node, name: str) -> Iterator[str]:
    """Yield the section of ``spec`` or ``status``: its own fields, then a section for each field with fields."""
    yield from (f"## {name}", "")
    yield from _wrapped(_text(node))
    yield from _table(node["properties"], node, deep=False)
    yield from _rules([node])
    for field, inner in node["properties"].items():
        fields = _fields(inner)
        if fields is None:
            continue
        yield from (f"### {name}.{field}", "")
        yield from _wrapped(_text(inner))
        yield from _table(fields["properties"], fields, deep=True)
        yield from _rules(_all(inner))


def _table(properties: Node, parent: Node, *, deep: bool) -> Iterator[str]:
    yield from ("| field | type | default | limits | meaning |", "|---|---|---|---|---|")
    for name, node in properties.items():
        yield from _rows(name, node, required=name in parent.get("required", ()), deep=deep)
    yield ""


def _rows(path: str, node: Node, *, required: bool, deep: bool) -> Iterator[str]:
    """Yield the row of a field, and those of the fields in it."""
    fields = _fields(node)
    default = node.get("default")
    shown = "" if default is None or isinstance(default, dict) else f"`{_said(default)}`"
    cells = (f"`{path}`", _type(node), "required" if required else shown, _limits(node), _text(node))
    yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
    if not deep or fields is None or AS_IN_A_POD in _text(node):
        return
    inside = f"{path}[]" if node.get("type") == "array" else f"{path}.*" if "additionalProperties" in node else path
    for name, inner in fields["properties"].items():
        yield from _rows(f"{inside}.{name}", inner, required=name in fields.get("required", ()), deep=True)


def _rules(nodes: Iterable[Node]) -> Iterator[str]:
    """Yield what the API server checks by rules, in the words that a person gets."""
    rules = (rule for node in nodes for rule in node.get("x-kubernetes-validations", ()))
    messages = list(dict.fromkeys(_plain(rule["message"]) for rule in rules))
    if not messages:
        return
    yield from ("Refused, with these words:", "")
    for message in messages:
        text = message.replace("*", "\\*")
        yield from textwrap.wrap(f"- {text}", COLUMNS, subsequent_indent="  ", break_on_hyphens=False)
    yield ""


def _all(node: Node) -> Iterator[Node]:
    """Yield a field, and the fields in it at any depth."""
    yield node
    fields = _fields(node)
    if fields is node:
        for inner in node["properties"].values():
            yield from _all(inner)
    elif fields is not None:
        yield from _all(fields)


def _fields(node: Node) -> Node | None:
    """Return the object whose fields are those of ``node``: itself, its items or its values; None if it has none."""
    for inner in (node, node.get("items"), node.get("additionalProperties")):
        if isinstance(inner, dict) and "properties" in inner:
            return inner
    return None


def _type(node: Node) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if node["type"] == "array":
        return f"list of {_plural(_type(node['items']))}"
    values = node.get("additionalProperties")
    if isinstance(values, dict):
        return f"map to {_plural(_type(values))}"
    return {"date-time": "time"}.get(node.get("format", ""), str(node["type"]))


def _plural(name: str) -> str:
    return name if name.endswith("s") else f"{name}s"


def _limits(node: Node) -> str:
    """Return the bounds that the API server checks."""
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    bounds = [
        _range(node.get("minimum"), node.get("maximum"), ""),
        _range(node.get("minLength"), node.get("maxLength"), " characters"),
        _range(node.get("minItems"), node.get("maxItems"), " items"),
        _range(node.get("minProperties"), node.get("maxProperties"), " keys"),
    ]
    return ", ".join(filter(None, bounds))


def _range(least: int | None, most: int | None, unit: str) -> str:
    if most is None:
        return "" if least is None else f"from {least}{unit}"
    return f"at most {most}{unit}" if least is None else f"{least} to {most}{unit}"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "[]" if value == [] else str(value)


def _text(node: Node) -> str:
    return _plain(str(node.get("description", "")))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _wrapped(text: str) -> Iterator[str]:
    if text:
        yield from textwrap.wrap(text.replace("<", "&lt;"), COLUMNS, break_on_hyphens=False)
        yield ""


def _cell(text: str) -> str:
    """Return a text as a table may hold it."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def main(root: Path) -> None:
    """Write the pages of the repository in ``root``."""
    found = pages(root)
    for path, text in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"{len(found)} pages")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
