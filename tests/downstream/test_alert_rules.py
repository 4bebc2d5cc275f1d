"""The alerts, by Prometheus' own tool: what fires, after how long, and what stays quiet."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from support.alerts import alert_rules, plain_rules
from support.cluster import ROOT, STATE
from support.prometheus import as_input

PROMTOOL = Path(shutil.which("promtool") or STATE / "packages" / "prometheus" / "usr" / "bin" / "promtool")
SINK = 'namespace="markets",sink="latest",feed="energy",destination="redis"'
SINK_POD = f'{SINK},pod="latest-sink-a"'
FEED = 'namespace="markets",feed="energy"'
WORKER = f'{FEED},pod="energy-0"'
MINUTES = 30
ON, OFF, CLOCK = f"1x{MINUTES}", f"0x{MINUTES}", f"0+60x{MINUTES}"
Series = list[dict[str, str]]


class Case(NamedTuple):
    name: str
    alert: str
    given: Series
    fires: bool
    at: str = "28m"


def series(name: str, labels: str, values: str) -> Series:
    return [{"series": f"{name}{{{labels}}}", "values": values}]


def buckets(metric: str, labels: str, *, within: int, above: int) -> Series:
    """So many records a minute within six seconds, and so many between ten and fifteen."""
    counts = {"6.0": within, "10.0": within, "15.0": within + above, "+Inf": within + above}
    return [
        line
        for le, count in counts.items()
        for line in series(f"{metric}_bucket", f'{labels},le="{le}"', f"0+{count}x{MINUTES}")
    ]


def contracts(publishing: str, *, reason: str = "Unassigned", status: str = "False", told: str = ON) -> Series:
    return [
        *series("ibfeed_feed_contracts", f'{FEED},state="wanted"', f"12x{MINUTES}"),
        *series("ibfeed_feed_contracts", f'{FEED},state="publishing"', publishing),
        *series("ibfeed_feed_condition", f'{FEED},condition="Covered",status="{status}",reason="{reason}"', told),
    ]


def ticks(last: str, *, trading: str = ON, streams: str = ON) -> Series:
    return [
        *series("ibfeed_last_tick_timestamp_seconds", WORKER, last),
        *series("ibfeed_contracts_trading", WORKER, trading),
        *series("ibfeed_session", f'{WORKER},state="Streaming"', streams),
    ]


def logins(failed: str) -> Series:
    return [
        *series("ibfeed_logins_total", f'{WORKER},outcome="wrong credentials"', failed),
        *series("ibfeed_logins_total", f'{WORKER},outcome="succeeded"', CLOCK),
    ]


def writing(errors: str) -> Series:
    return [
        *series("ibfeed_sink_writing", SINK_POD, OFF),
        *series("ibfeed_sink_errors_total", f'{SINK_POD},kind="refused"', errors),
    ]


def parked(values: str) -> Series:
    return series("ibfeed_feed_accounts", f'{FEED},state="parked"', values)


def condition(kind: str, status: str, reason: str, values: str = ON) -> Series:
    return series("ibfeed_feed_condition", f'{FEED},condition="{kind}",status="{status}",reason="{reason}"', values)


def leader(first: str, second: str) -> Series:
    return [
        *series("ibfeed_operator_leader", 'pod="a"', first),
        *series("ibfeed_operator_leader", 'pod="b"', second),
    ]


def sample(name: str, values: str, more: str = "") -> Series:
    return series(name, WORKER + more, values)


MAINTENANCE = series("ibfeed_ib_maintenance", FEED, ON)
LAG, READY = "ibfeed_sink_lag_records", ("ibfeed_operator_sink_ready", 'namespace="markets",sink="latest"')
RECONCILED, GAPS = ("ibfeed_operator_last_reconcile_timestamp_seconds", FEED), "ibfeed_gaps_total"
LATENCY, SINK_LATENCY = "ibfeed_tick_latency_seconds", "ibfeed_sink_latency_seconds"
COMPETING = ',reason="Competing"'
# A metric of which nothing is known in the case fires nothing: each alert but that of the leader needs its series.
CASES = [
    Case("the leader is lost, the other stands by", "IbOperatorWithoutLeader", leader("1x5 0x25", OFF), True),
    Case("one leads, one stands by", "IbOperatorWithoutLeader", leader(ON, OFF), False),
    Case("the other one takes over", "IbOperatorWithoutLeader", leader("1x5 _x25", "0x5 1x25"), False, "7m"),
    Case("no operator is scraped", "IbOperatorWithoutLeader", [], True),
    Case("no cycle succeeds", "IbReconcileStale", series(*RECONCILED, OFF), True),
    Case("cycles succeed", "IbReconcileStale", series(*RECONCILED, CLOCK), False),
    Case("two contracts have no worker", "IbContractUncovered", contracts(f"10x{MINUTES}"), True),
    Case("all are published", "IbContractUncovered", contracts(f"12x{MINUTES}", status="True"), False),
    Case("contracts are handed over", "IbContractUncovered", contracts(f"10x{MINUTES}", status="True"), False),
    Case("the feed is suspended", "IbContractUncovered", contracts(OFF, reason="Suspended"), False),
    Case("IB is at maintenance", "IbContractUncovered", [*contracts(OFF), *MAINTENANCE], False),
    Case("a take-over", "IbContractUncovered", contracts("12x10 10 12x19", told="_x10 1 _x19"), False, "11m"),
    Case(
        "a contract is doubly owned", "IbContractPublishedTwice", condition("Covered", "False", "PublishedTwice"), True
    ),
    Case("Covered is true", "IbContractPublishedTwice", condition("Covered", "True", "AllPublishing"), False),
    Case("an account is parked", "IbAccountParked", parked(ON), True),
    Case("no account is parked", "IbAccountParked", parked(OFF), False),
    Case("data is delayed", "IbMarketDataNotLive", condition("MarketDataLive", "False", "NotLive"), True),
    Case("data is live", "IbMarketDataNotLive", condition("MarketDataLive", "True", "Live"), False),
    Case("one of 50 ticks is late", "IbTickLatencyHigh", buckets(LATENCY, WORKER, within=980, above=20), True),
    Case("one of 500 ticks is late", "IbTickLatencyHigh", buckets(LATENCY, WORKER, within=998, above=2), False),
    Case("ticks stop", "IbNoTicksInTradingHours", ticks(f"0+60x10 600x{MINUTES}"), True),
    Case("ticks come", "IbNoTicksInTradingHours", ticks(CLOCK), False),
    Case("the market is closed", "IbNoTicksInTradingHours", ticks(OFF, trading=OFF), False),
    Case("the market opens", "IbNoTicksInTradingHours", ticks("0x20 1200+60x10", trading="0x20 4x10"), False, "22m"),
    Case("the session does not stream", "IbNoTicksInTradingHours", ticks(OFF, streams=OFF), False),
    Case("IB resets", "IbNoTicksInTradingHours", [*ticks(OFF), *MAINTENANCE], False),
    Case("a gap", "IbGap", sample(GAPS, f"3x20 4x{MINUTES}"), True, "22m"),
    Case("no gap", "IbGap", sample(GAPS, f"3x{MINUTES}"), False),
    Case("a gap of an hour ago", "IbGap", sample(GAPS, "3x10 4x20"), False),
    Case("a person has the session", "IbSessionCompeting", sample("ibfeed_session_reason", ON, COMPETING), True),
    Case("another reason", "IbSessionCompeting", sample("ibfeed_session_reason", ON, ',reason="DailyReset"'), False),
    Case("three logins fail", "IbLoginsFailing", logins("0x10 1 2 3x18"), True),
    Case("one login fails", "IbLoginsFailing", logins("0x10 1x20"), False),
    Case("logins fail in the nightly reset", "IbLoginsFailing", [*logins(CLOCK), *MAINTENANCE], False),
    Case("a worker is cut off", "IbWorkerCutOffFromKafka", sample("ibfeed_kafka_reachable", "1x10 0x20"), True),
    Case("Kafka is there", "IbWorkerCutOffFromKafka", sample("ibfeed_kafka_reachable", ON), False),
    Case(
        "a broker's restart", "IbWorkerCutOffFromKafka", sample("ibfeed_kafka_reachable", "1x10 0 1x19"), False, "11m"
    ),
    Case("the API server is away", "IbFailsafeActive", sample("ibfeed_failsafe", "0x10 1x20"), True),
    Case("the API server is there", "IbFailsafeActive", sample("ibfeed_failsafe", OFF), False),
    Case("one of 50 records is late", "IbSinkLate", buckets(SINK_LATENCY, SINK_POD, within=980, above=20), True),
    Case("one of 500 records is late", "IbSinkLate", buckets(SINK_LATENCY, SINK_POD, within=998, above=2), False),
    Case("the lag grows", "IbSinkLagging", series(LAG, SINK_POD, f"0+2000x{MINUTES}"), True),
    Case("the lag comes and goes", "IbSinkLagging", series(LAG, SINK_POD, "0 90000 " * 15), False),
    Case("the lag has only begun to grow", "IbSinkLagging", series(LAG, SINK_POD, "0x21 2000+2000x8"), False),
    Case("the lag is high and falls", "IbSinkLagging", series(LAG, SINK_POD, f"90000-2000x{MINUTES}"), False),
    Case("the sink is not ready", "IbSinkStopped", series(*READY, OFF), True),
    Case("the sink was not ready for a moment", "IbSinkStopped", series(*READY, "1x10 0x2 1x20"), False),
    Case("a pod cannot write", "IbSinkFailing", writing(f"0+1x{MINUTES}"), True),
    Case("a pod has had nothing to write yet", "IbSinkFailing", writing(OFF), False),
]
HEALTHY: Series = [
    *leader(ON, OFF),
    *series(*RECONCILED, CLOCK),
    *contracts(f"12x{MINUTES}", status="True", reason="AllPublishing"),
    *parked(OFF),
    *condition("MarketDataLive", "True", "Live"),
    *buckets(LATENCY, WORKER, within=1000, above=0),
    *ticks(CLOCK),
    *sample(GAPS, OFF),
    *logins(OFF),
    *sample("ibfeed_kafka_reachable", ON),
    *sample("ibfeed_failsafe", OFF),
    *series("ibfeed_ib_maintenance", FEED, OFF),
    *buckets(SINK_LATENCY, SINK_POD, within=1000, above=0),
    *series(LAG, SINK_POD, f"3x{MINUTES}"),
    *series(*READY, ON),
    *series("ibfeed_sink_writing", SINK_POD, ON),
]
# A Saturday: the market is closed, IB is at maintenance, sessions are lost and logins are refused.
WEEKEND: Series = [
    *leader(ON, OFF),
    *series(*RECONCILED, CLOCK),
    *contracts(OFF, reason="NotPublishing"),
    *parked(OFF),
    *ticks(OFF, trading=OFF, streams=OFF),
    *sample("ibfeed_session_reason", ON, ',reason="DailyReset"'),
    *sample(GAPS, CLOCK),
    *logins(CLOCK),
    *sample("ibfeed_kafka_reachable", ON),
    *MAINTENANCE,
    *series(LAG, SINK_POD, OFF),
    *series(*READY, ON),
    *series("ibfeed_sink_writing", SINK_POD, ON),
]
# A night without maintenance: nothing trades, and nothing comes.
NIGHT: Series = [*HEALTHY, *ticks(OFF, trading=OFF)]


def promtool(*words: str, folder: Path) -> str:
    assert PROMTOOL.exists(), f"{PROMTOOL} is missing: make test unpacks it"
    done = subprocess.run([PROMTOOL, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A rules file as Prometheus reads it, which the Prometheus operator makes of the resources."""
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(plain_rules()))
    return path


def run_tests(rules: Path, tests: list[dict[str, Any]]) -> None:
    case = {"rule_files": [rules.name], "evaluation_interval": "30s", "tests": tests}
    (rules.parent / "tests.yml").write_text(yaml.safe_dump(case))
    promtool("test", "rules", "tests.yml", folder=rules.parent)


def quiet(at: str, but: str = "") -> dict[str, Any]:
    """At this time no alert fires, or is about to."""
    return {"expr": f'ALERTS{{alertname!="{but}"}}', "eval_time": at, "exp_samples": []}


def test_prometheus_takes_the_rules(rules: Path) -> None:
    count = sum(len(group["rules"]) for group in plain_rules()["groups"])
    assert f"{count} rules found" in promtool("check", "rules", rules.name, folder=rules.parent)


def test_each_alert_fires_when_it_must_and_only_then(rules: Path) -> None:
    tests = []
    for case in CASES:
        asked: dict[str, Any] = {
            "expr": f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})',
            "eval_time": case.at,
            "exp_samples": [{"labels": "{}", "value": 1}] if case.fires else [],
        }
        tests.append({"name": case.name, "interval": "1m", "input_series": case.given, "promql_expr_test": [asked]})
    run_tests(rules, tests)


def test_each_alert_was_seen_to_fire_and_to_stay_quiet() -> None:
    for fires in (True, False):
        assert {case.alert for case in CASES if case.fires is fires} == set(alert_rules())


def test_all_is_quiet_while_all_is_well(rules: Path) -> None:
    moments = [quiet(f"{minute}m") for minute in range(1, MINUTES)]
    run_tests(rules, [{"name": "well", "interval": "1m", "input_series": HEALTHY, "promql_expr_test": moments}])


def test_all_is_quiet_at_a_closed_market_and_in_ibs_weekend(rules: Path) -> None:
    given = {"night": {line["series"]: line for line in NIGHT}, "weekend": {line["series"]: line for line in WEEKEND}}
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": list(lines.values()),
            "promql_expr_test": [quiet(f"{minute}m") for minute in range(2, MINUTES)],
        }
        for name, lines in given.items()
    ]
    run_tests(rules, tests)


def test_an_alert_says_which_sink_and_what_to_do(rules: Path) -> None:
    expected = {
        "exp_labels": {"severity": "critical", "namespace": "markets", "sink": "latest"},
        "exp_annotations": {
            "summary": "Sink markets/latest is not ready",
            "description": "It is not known to write records. Its condition Ready says why, and what to do:"
            " kubectl describe ibk latest -n markets",
            "runbook_url": "https://ibfeed.dev/docs/runbooks/IbSinkStopped.html",
        },
    }
    asked = {"eval_time": "6m", "alertname": "IbSinkStopped", "exp_alerts": [expected]}
    run_tests(rules, [{"interval": "1m", "input_series": series(*READY, OFF), "alert_rule_test": [asked]}])


def test_an_alert_says_how_many_contracts_of_which_feed(rules: Path) -> None:
    expected = {
        "exp_labels": {"severity": "critical", "namespace": "markets", "feed": "energy"},
        "exp_annotations": {
            "summary": "2 contracts of markets/energy are not published",
            "description": "Condition Covered names them, why, and what to do: kubectl describe ibf energy -n markets",
            "runbook_url": "https://ibfeed.dev/docs/runbooks/IbContractUncovered.html",
        },
    }
    asked = {"eval_time": "6m", "alertname": "IbContractUncovered", "exp_alerts": [expected]}
    given = contracts(f"10x{MINUTES}")
    run_tests(rules, [{"interval": "1m", "input_series": given, "alert_rule_test": [asked]}])


def test_recorded_series_of_an_outage_fire_once_it_lasts(rules: Path) -> None:
    """Of a sink whose Redis was killed for a moment (test_alert_fires.py); then the outage is stretched."""
    recorded = json.loads((ROOT / "tests" / "recordings" / "sink-outage.json").read_text())
    (writing,) = (one["values"] for one in recorded if one["labels"]["__name__"] == "ibfeed_sink_writing")
    fails = len(writing) - next(ago for ago, value in enumerate(reversed(writing), 1) if value == "0")
    assert "1" in writing[:fails] and "1" in writing[fails:], "well, away, and well again"
    stretched = [
        {**one, "values": [*one["values"][:fails], *[one["values"][fails]] * 200, *one["values"][fails:]]}
        for one in recorded
    ]
    alert = 'ALERTS{alertname="IbSinkFailing",alertstate="firing"}'
    after = fails + 195
    tests = [
        {
            "name": name,
            "interval": "1s",
            "input_series": as_input(given),
            "promql_expr_test": [
                {"expr": f"count({alert})", "eval_time": f"{second}s", "exp_samples": expected}
                for second, expected in moments.items()
            ],
        }
        for name, given, moments in (
            ("as it was", recorded, {second: [] for second in range(0, len(writing), 5)}),
            ("stretched", stretched, {fails: [], fails + 60: [], after: [{"labels": "{}", "value": 1}]}),
        )
    ]
    run_tests(rules, tests)


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("Ib*.md")}
    assert pages == set(alert_rules())
    listed = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    for name, rule in alert_rules().items():
        annotations = rule["annotations"]
        assert set(annotations) == {"summary", "description", "runbook_url"}
        assert annotations["runbook_url"] == f"https://ibfeed.dev/docs/runbooks/{name}.html"
        assert "kubectl" in annotations["description"]
        assert f"| [{name}]({name}.md) | {rule['labels']['severity']} |" in listed
        page = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()
        assert f"# {name}\n\n**Meaning** ({rule['labels']['severity']})" in page
        assert "## Look" in page and "```sh\n" in page and "## Mend" in page
        assert page.count("\n") <= 40, "one screen"
