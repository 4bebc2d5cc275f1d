"""The alerts on sinks, by Prometheus' own tool: what fires, after how long, and what stays quiet."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster import ROOT, STATE

PROMTOOL = Path(shutil.which("promtool") or STATE / "packages" / "prometheus" / "usr" / "bin" / "promtool")
RULES = ROOT / "manifests" / "monitoring" / "rules.yaml"
LABELS = 'namespace="markets",sink="latest",feed="energy",destination="redis"'
POD = f'{LABELS},pod="latest-sink-a"'
MINUTES = "30"


def buckets(*, within: int, above: int) -> list[dict[str, str]]:
    """So many records a minute within six seconds, and so many between ten and fifteen."""
    counts = {"6.0": within, "10.0": within, "15.0": within + above, "+Inf": within + above}
    return [
        {"series": f'ibfeed_sink_latency_seconds_bucket{{{POD},le="{le}"}}', "values": f"0+{count}x{MINUTES}"}
        for le, count in counts.items()
    ]


def series(name: str, labels: str, values: str) -> list[dict[str, str]]:
    return [{"series": f"{name}{{{labels}}}", "values": values}]


LAG, WRITING, ERRORS = "ibfeed_sink_lag_records", "ibfeed_sink_writing", "ibfeed_sink_errors_total"
READY = ("ibfeed_operator_sink_ready", 'namespace="markets",sink="latest"')
CASES: list[tuple[str, str, list[dict[str, str]], bool]] = [
    ("one of 50 records is late", "IbSinkLate", buckets(within=980, above=20), True),
    ("one of 500 records is late", "IbSinkLate", buckets(within=998, above=2), False),
    ("the lag grows", "IbSinkLagging", series(LAG, POD, f"0+2000x{MINUTES}"), True),
    ("the lag comes and goes", "IbSinkLagging", series(LAG, POD, "0 90000 " * 15), False),
    ("the lag has only begun to grow", "IbSinkLagging", series(LAG, POD, "0x21 2000+2000x8"), False),
    ("the lag is high and falls", "IbSinkLagging", series(LAG, POD, f"90000-2000x{MINUTES}"), False),
    ("the sink is not ready", "IbSinkStopped", series(*READY, f"0x{MINUTES}"), True),
    ("the sink was not ready for a moment", "IbSinkStopped", series(*READY, "1x10 0x2 1x20"), False),
    (
        "a pod cannot write",
        "IbSinkFailing",
        [*series(WRITING, POD, f"0x{MINUTES}"), *series(ERRORS, f'{POD},kind="refused"', f"0+1x{MINUTES}")],
        True,
    ),
    (
        "a pod has had nothing to write yet",
        "IbSinkFailing",
        [*series(WRITING, POD, f"0x{MINUTES}"), *series(ERRORS, f'{POD},kind="refused"', f"0x{MINUTES}")],
        False,
    ),
]


def promtool(*words: str, folder: Path) -> str:
    assert PROMTOOL.exists(), f"{PROMTOOL} is missing: make test unpacks it"
    done = subprocess.run([PROMTOOL, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A rules file as Prometheus reads it, which the Prometheus operator makes of the resource."""
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(RULES.read_text())["spec"]))
    return path


def test_prometheus_takes_the_rules(rules: Path) -> None:
    assert "7 rules found" in promtool("check", "rules", rules.name, folder=rules.parent)


def test_each_alert_fires_when_it_must_and_only_then(rules: Path) -> None:
    tests = []
    for name, alert, given, fires in CASES:
        asked: dict[str, Any] = {
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
            "eval_time": "28m",
        }
        asked["exp_samples"] = [{"labels": "{}", "value": 1}] if fires else []
        tests.append({"name": name, "interval": "1m", "input_series": given, "promql_expr_test": [asked]})
    case = {"rule_files": [rules.name], "evaluation_interval": "30s", "tests": tests}
    (rules.parent / "tests.yml").write_text(yaml.safe_dump(case))
    promtool("test", "rules", "tests.yml", folder=rules.parent)


def test_an_alert_says_which_sink_and_what_to_do(rules: Path) -> None:
    expected = {
        "exp_labels": {"severity": "critical", "namespace": "markets", "sink": "latest"},
        "exp_annotations": {
            "summary": "Sink markets/latest is not ready",
            "description": "It is not known to write records. Its condition Ready says why, and what to do:"
            " kubectl describe ibk latest -n markets",
        },
    }
    asked = {"eval_time": "6m", "alertname": "IbSinkStopped", "exp_alerts": [expected]}
    test = {"interval": "1m", "input_series": series(*READY, f"0x{MINUTES}"), "alert_rule_test": [asked]}
    case = {"rule_files": [rules.name], "evaluation_interval": "30s", "tests": [test]}
    (rules.parent / "tests.yml").write_text(yaml.safe_dump(case))
    promtool("test", "rules", "tests.yml", folder=rules.parent)
