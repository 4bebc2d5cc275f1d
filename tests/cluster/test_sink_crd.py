"""The definition of IbSink on the real API server: what is refused, what is filled in, what scales, what is shown."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster import ROOT, kubectl, read

SCRATCH = f"ibfeed-test-sinks-{uuid.uuid4().hex[:8]}"
REDIS: dict[str, Any] = {"url": "redis://redis:6379"}
SECRET = {"passwordSecretRef": {"name": "p"}}
COMPUTATION = {"team": "desk", "name": "rolling_vwap", "redis": REDIS}


def redis(**more: Any) -> dict[str, Any]:
    return {"redis": REDIS | more}


def clickhouse(**more: Any) -> dict[str, Any]:
    return {"clickhouse": {"url": "http://clickhouse:8123"} | more}


def computation(**more: Any) -> dict[str, Any]:
    return {"computation": COMPUTATION | more}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no destination", {}, "set exactly one destination: clickhouse, redis or computation"),
    ("two destinations", redis() | clickhouse(), "set exactly one destination"),
    ("no feed", redis() | {"feedRef": {}}, "spec.feedRef.name: Required value"),
    ("no pod", redis() | {"replicas": 0}, "greater than or equal to 1"),
    ("a clickhouse twice", clickhouse() | {"replicas": 2}, "replicas must be 1 but with redis"),
    ("a computation twice", computation() | {"replicas": 2}, "replicas must be 1 but with redis"),
    ("a password in the address", redis(url="redis://u:p@redis:6379"), "no user or password"),
    ("an address of another kind", redis(url="http://redis"), "url must be redis:// or rediss://"),
    ("a user without password", redis(user="writer"), "user needs passwordSecretRef"),
    ("a CA without TLS", redis(caSecretRef={"name": "ca"}), "caSecretRef needs a url with rediss://"),
    ("a prefix with a colon", redis(prefix="a:b"), "prefix may hold letters"),
    ("an expiry of nothing", redis(expirySeconds=0), "greater than or equal to 1"),
    ("a password for clickhouse", clickhouse(url="http://u:p@clickhouse:8123"), "no user, password or path"),
    ("a database with a blank", clickhouse(database="a b"), "letters, digits and underscores"),
    ("rows for a year", clickhouse(ttlDays=365), "less than or equal to 90"),
    ("no team", {"computation": {"name": "x", "redis": REDIS}}, "spec.computation.team: Required value"),
    ("a team in capitals", computation(team="Desk"), "lower-case letters, digits"),
    ("a wrong redis of a computation", computation(redis={"url": "redis://a b"}), "url must be redis://"),
    (
        "more than the limit",
        redis() | {"pod": {"resources": {"requests": {"memory": "2Gi"}}}},
        "requests.memory (128Mi unless set) must not exceed limits.memory (1Gi unless set)",
    ),
    ("an image with a blank", redis() | {"pod": {"image": "a b"}}, "image must be the name of an image"),
    ("a misspelt field", redis() | {"replica": 2}, 'unknown field "spec.replica"'),
]
RIGHT = [
    redis(),
    redis(url="rediss://[fd00::1]:6379/3", user="writer", caSecretRef={"name": "ca"}, **SECRET) | {"replicas": 8},
    clickhouse(user="owner", ttlDays=1, **SECRET),
    computation() | {"suspend": True},
    computation(name="own", sql="SELECT 1"),
]


@pytest.fixture(scope="module", autouse=True)
def _namespace() -> Iterator[None]:
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds" / "ibsinks.yaml"))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/ibsinks.ibfeed.dev")
    kubectl("create", "namespace", SCRATCH)
    yield
    kubectl("delete", "namespace", SCRATCH, "--wait=false")


def create(spec: dict[str, Any], name: str = "latest", *, dry: bool = True) -> str:
    body = {
        "apiVersion": "ibfeed.dev/v1alpha1",
        "kind": "IbSink",
        "metadata": {"name": name, "namespace": SCRATCH},
        "spec": {"feedRef": {"name": "energy"}} | spec,
    }
    words = ["create", "--validate=strict", "-f", "-", *(["--dry-run=server", "-o", "json"] if dry else [])]
    return kubectl(*words, stdin=json.dumps(body), check=False)


@pytest.mark.parametrize(("spec", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_sink_is_refused_in_words_that_help(spec: dict[str, Any], says: str) -> None:
    assert says in create(spec)


@pytest.mark.parametrize("spec", RIGHT)
def test_a_right_sink_is_accepted(spec: dict[str, Any]) -> None:
    assert json.loads(create(spec))["kind"] == "IbSink"


def test_a_name_that_no_deployment_can_have_is_refused() -> None:
    assert "it is part of the Deployment's name" in create(redis(), name="1st")


def test_defaults_of_a_sink_are_filled_in() -> None:
    assert json.loads(create(redis(**SECRET)))["spec"] == {
        "feedRef": {"name": "energy"},
        "replicas": 1,
        "suspend": False,
        "redis": REDIS
        | {"prefix": "ibfeed", "expirySeconds": 300, "passwordSecretRef": {"name": "p", "key": "password"}},
        "pod": {"imagePullPolicy": "IfNotPresent", "logLevel": "Info"},
    }


def test_a_sink_scales_and_shows_what_it_does() -> None:
    """Suspended, so that an operator at work on this cluster starts no pod for it; its feed is not there, either."""
    create(redis() | {"suspend": True}, name="there", dry=False)
    kubectl("scale", "ibk/there", "--replicas=3", "-n", SCRATCH)
    assert read("ibsink", "there", SCRATCH)["spec"]["replicas"] == 3
    header = kubectl("get", "ibk", "-n", SCRATCH).splitlines()[0].split("  ")
    assert [word.strip() for word in header if word.strip()] == [
        "NAME", "FEED", "DESTINATION", "READY", "LAG", "ROWS", "LAST EVENT", "REASON", "AGE",
    ]  # fmt: skip


def test_a_report_without_what_it_must_say_is_refused() -> None:
    body = json.dumps({"status": {"pods": {"c": {"rows": 1}}}})
    create(redis() | {"suspend": True}, name="other", dry=False)
    words = ["patch", "ibk", "other", "-n", SCRATCH, "--subresource=status", "--type=merge", "-p", body]
    assert "Required value" in kubectl(*words, check=False)
