"""The parts that this release installs: the fields of its CRDs and the rights of its operator, from ``release.json``.

A test holds that file to ``crds/`` and to ``manifests/operator/rbac.yaml``, and says how to write it.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any, Final

import msgspec

KINDS: Final = ("ibfeeds", "ibshards", "ibsinks")


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """A rule of a Role."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    resource_names: tuple[str, ...] = ()


class Release(msgspec.Struct, frozen=True, rename="camel"):
    """The file. ``own_rules`` count in the operator's own namespace only."""

    fields: dict[str, tuple[str, ...]]
    operator_rules: tuple[Rule, ...]
    own_rules: tuple[Rule, ...]


@functools.cache
def this_release() -> Release:
    """Return what this release installs."""
    return msgspec.json.decode(resources.files("ibfeed.doctor").joinpath("release.json").read_bytes(), type=Release)


def fields_of_release(plural: str) -> frozenset[str]:
    """Return the paths of a kind's fields."""
    return frozenset(this_release().fields[plural])


def field_paths(schema: dict[str, Any], path: str = "") -> frozenset[str]:
    """Return the paths of all fields of an OpenAPI schema: ``spec.roots[].symbol``."""
    found: set[str] = set()
    for name, inner in (schema.get("properties") or {}).items():
        here = f"{path}.{name}" if path else name
        found |= {here} | field_paths(inner, here)
    items = schema.get("items")
    if isinstance(items, dict):
        found |= field_paths(items, f"{path}[]")
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        found |= field_paths(more, f"{path}.*")
    return frozenset(found)
