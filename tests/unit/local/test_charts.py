"""The chart's files that are made of ``manifests/`` and of the values' schema are those that the generator makes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from ibfeed_local import charts
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import SOURCE

MADE = charts.files()


@pytest.mark.parametrize("path", MADE, ids=lambda path: str(path.relative_to(SOURCE)))
def test_made_file_is_up_to_date(path: Path) -> None:
    assert path.read_text() == MADE[path], "run `make charts`"


def test_no_made_template_is_left_of_a_manifest_that_is_gone() -> None:
    found = {path for folder in charts.CONDITIONS for path in (charts.CHART / "templates" / folder).glob("*")}
    assert found <= MADE.keys()


def test_rule_that_does_not_fit_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = charts.Rule("operator/rbac.yaml", "no such line", "")
    monkeypatch.setattr(charts, "RULES", (rule,))
    with pytest.raises(ProblemError, match=r"operator/rbac\.yaml has 'no such line' 0 times"):
        charts.template("operator/rbac.yaml")


def test_expressions_of_prometheus_are_no_helm_s() -> None:
    text = charts.template("monitoring/rules.yaml")
    assert "{{`{{ $labels.namespace }}`}}" in text


def test_values_are_the_defaults_of_their_schema() -> None:
    schema = json.loads((charts.CHART / "values.schema.json").read_text())
    values = yaml.safe_load((charts.CHART / "values.yaml").read_text())
    for name, value in charts.leaves(schema):
        found = values
        for part in name.split("."):
            found = found[part]
        assert found == value["default"], name


def test_versions_are_one() -> None:
    """The images' tag in the manifests, both charts and the package are of one release."""
    version = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]["version"]
    for chart in ("ibfeed", "ibfeed-crds"):
        about = yaml.safe_load((SOURCE / "charts" / chart / "Chart.yaml").read_text())
        assert (about["version"], about["appVersion"]) == (version, version)
    tags = {
        tag
        for path in (SOURCE / "manifests").glob("*/*.yaml")
        for tag in re.findall(r"\bibfeed/(?:operator|worker|platform|simulator)\b(\S*)", path.read_text())
        if not tag.startswith(".")
    }
    assert tags == {f":{version}"}


def test_definitions_of_the_chart_are_the_files_of_crds() -> None:
    links = sorted((SOURCE / "charts" / "ibfeed-crds" / "templates").iterdir())
    assert [link.resolve() for link in links] == sorted((SOURCE / "crds").iterdir())
    for path in (SOURCE / "crds").iterdir():
        metadata = yaml.safe_load(path.read_text())["metadata"]
        assert metadata["annotations"]["helm.sh/resource-policy"] == "keep"
