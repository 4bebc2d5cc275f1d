"""Dashboard and rules: each expression is PromQL, and asks only for metrics that the code serves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from ibfeed_monitoring import catalogue, dashboard, files
from support.alerts import FOLDER, plain_rules
from support.cluster import ROOT

RULES = [rule for group in plain_rules()["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboards" / "ibfeed.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# Grafana's own, as Grafana would fill them in.
VARIABLES = {"$__rate_interval": "1m", "$namespace": ".*", "$feed": ".*"}
DEFINITIONS = {name: found for found in catalogue.definitions() for name in found.series}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
# Labels that the monitors add, and those of which aggregations may speak.
ADDED = {"namespace", "pod", "feed", "le"}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


def selectors(found: Any) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(found, promql_parser.VectorSelector):
        yield found
    for name in ("expr", "lhs", "rhs", "vector_selector", "args"):
        inner = getattr(found, name, None)
        for one in inner if isinstance(inner, list) else [inner] if inner is not None else []:
            yield from selectors(one)


@pytest.mark.parametrize(("name", "expression"), tuple(expressions()))
def test_an_expression_asks_for_what_there_is(name: str, expression: str) -> None:
    found = list(selectors(promql_parser.parse(expression)))
    assert len(found) == len(re.findall(r"\bibfeed[a-z_:0-9]+", expression)), "the tree was read whole"
    for selector in found:
        if selector.name in RECORDED:
            continue
        definition = DEFINITIONS[str(selector.name)]
        for matcher in selector.matchers.matchers:
            assert matcher.name in {*definition.labels, *ADDED}, f"{name}: {selector.name} has no label {matcher.name}"


def test_an_expression_that_is_no_promql_is_refused() -> None:
    with pytest.raises(ValueError):
        promql_parser.parse("sum by (feed (ibfeed_gaps_total)")


def test_the_dashboard_is_that_of_the_code() -> None:
    assert dashboard.as_json() == (FOLDER / "dashboards" / "ibfeed.json").read_text(), "make monitoring"
    assert set(files.contents()) >= {"docs/metrics.md", "manifests/monitoring/dashboards/ibfeed.json"}
    assert all((ROOT / path).read_text() == text for path, text in files.contents().items())


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    assert all(panel["description"] and panel["title"] for panel in PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_grafanas_sidecar_finds_the_dashboard() -> None:
    (made,) = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    assert made["files"] == ["dashboards/ibfeed.json"]
    assert made["options"]["labels"]["grafana_dashboard"] == "1"
    assert len((FOLDER / "dashboards" / "ibfeed.json").read_bytes()) < 1 << 20, "a ConfigMap holds a megabyte"
