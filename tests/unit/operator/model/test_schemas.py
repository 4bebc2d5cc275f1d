"""The custom resource definitions and the typed values say the same: names, types, defaults, enums, bounds."""

from __future__ import annotations

import re
import types
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
import yaml

from ibfeed_api import instrument
from ibfeed_api.feed import DENIED_CONFIG, Accounts, FeedSpec, KeyVault
from ibfeed_api.kinds import FEED_PLURAL, GROUP, SHARD_PLURAL, SINK_PLURAL, VERSION
from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import ContractState, EntryState, Session, ShardSpec, ShardStatus
from ibfeed_api.sink import MAX_ERROR, SinkCondition, SinkReason, SinkSpec
from ibfeed_api.worker_pod import LogLevel, Quantity
from ibfeed_operator.model import feed_status
from ibfeed_operator.model.feed_status import FeedStatus
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.pod import pod_template
from ibfeed_operator.sinks.model import SinkStatus

ROOT = Path(__file__).resolve().parents[4]
LABEL_LIMIT = 63


def crd(plural: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
    return document


def version(plural: str) -> dict[str, Any]:
    found: dict[str, Any] = crd(plural)["spec"]["versions"][0]
    return found


def schema(plural: str, part: str) -> dict[str, Any]:
    found: dict[str, Any] = version(plural)["schema"]["openAPIV3Schema"]["properties"][part]
    return found


def at(node: dict[str, Any], path: str) -> dict[str, Any]:
    for step in path.split("."):
        node = node["items"] if step == "[]" else node["properties"][step]
    return node


PAIRS = [
    (FEED_PLURAL, "spec", FeedSpec),
    (FEED_PLURAL, "status", FeedStatus),
    (SHARD_PLURAL, "spec", ShardSpec),
    (SHARD_PLURAL, "status", ShardStatus),
    (SINK_PLURAL, "spec", SinkSpec),
    (SINK_PLURAL, "status", SinkStatus),
]
PLURALS = [FEED_PLURAL, SHARD_PLURAL, SINK_PLURAL]


@pytest.mark.parametrize("plural", PLURALS)
def test_names(plural: str) -> None:
    document = crd(plural)
    assert document["metadata"]["name"] == f"{plural}.{GROUP}"
    assert document["spec"]["group"] == GROUP
    assert document["spec"]["names"]["plural"] == plural
    assert version(plural)["name"] == VERSION


@pytest.mark.parametrize(("plural", "part", "kind"), PAIRS)
def test_schema_and_type_have_the_same_fields_of_the_same_types(plural: str, part: str, kind: type) -> None:
    assert differences(schema(plural, part), kind, part) == []


def differences(node: dict[str, Any], kind: Any, where: str) -> list[str]:
    kind = without_none(kind)
    if kind == Quantity:
        return [] if node.get("x-kubernetes-int-or-string") else [f"{where}: no number or string"]
    if get_origin(kind) is dict:
        found = [] if node.get("type") == "object" else [f"{where}: {node.get('type')} for a mapping"]
        # A mapping of anything is Kubernetes' own, and only passed on.
        value = get_args(kind)[1]
        return found if value is Any else found + differences(node["additionalProperties"], value, f"{where}{{}}")
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return struct_differences(node, kind, where)
    if get_origin(kind) is tuple:
        found = [] if node.get("type") == "array" else [f"{where}: {node.get('type')} for a list"]
        return found + differences(node["items"], get_args(kind)[0], f"{where}[]")
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, StrEnum)):
        wanted = list(get_args(kind)) if get_origin(kind) is Literal else [str(member) for member in kind]
        return [] if sorted(node.get("enum", [])) == sorted(wanted) else [f"{where}: {node.get('enum')} for {wanted}"]
    name = {str: "string", int: "integer", bool: "boolean"}[kind]
    return [] if node.get("type") == name else [f"{where}: {node.get('type')} for {name}"]


def struct_differences(node: dict[str, Any], kind: type[msgspec.Struct], where: str) -> list[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    properties = node["properties"]
    found = [f"{where}: {name} is not in both" for name in sorted(set(fields) ^ set(properties))]
    missing = sorted(set(node.get("required", [])) - set(fields))
    found += [f"{where}: requires {name}, which the type lacks" for name in missing]
    for name, field in fields.items():
        child = properties.get(name, {"type": None, "properties": {}, "items": {}})
        # What the type demands must be there after the API server has filled in its defaults.
        if field.required and name not in node.get("required", []) and "default" not in child:
            found.append(f"{where}.{name}: the type needs it, the schema neither requires it nor fills it in")
        found += differences(child, field.type, f"{where}.{name}")
    return found


def without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind):
        return Union[tuple(argument for argument in get_args(kind) if argument is not type(None))]  # noqa: UP007
    return kind


@pytest.mark.parametrize("plural", PLURALS)
def test_every_string_and_list_is_bounded(plural: str) -> None:
    root = version(plural)["schema"]["openAPIV3Schema"]
    assert list(unbounded(root, plural)) == []


def unbounded(node: dict[str, Any], where: str) -> Any:
    if node.get("type") == "string" and "maxLength" not in node:
        yield where
    if node.get("x-kubernetes-int-or-string") and "maxLength" not in node:
        yield where
    if "additionalProperties" in node:
        if "maxProperties" not in node:
            yield where
        yield from unbounded(node["additionalProperties"], f"{where}{{}}")
    if node.get("type") == "array" and not ("maxItems" in node and "x-kubernetes-list-type" in node):
        yield where
    if node.get("x-kubernetes-preserve-unknown-fields"):
        yield where
    for name, child in node.get("properties", {}).items():
        yield from unbounded(child, f"{where}.{name}")
    if "items" in node:
        yield from unbounded(node["items"], f"{where}[]")


KEYWORDS = {
    "type", "format", "description", "default", "enum", "pattern", "properties", "required", "items",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "anyOf",
    "additionalProperties", "maxProperties", "x-kubernetes-int-or-string",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations",
}  # fmt: skip


@pytest.mark.parametrize("plural", PLURALS)
def test_no_keyword_is_misspelt(plural: str) -> None:
    """The API server drops what it does not know, such as half a description cut off at a comma."""

    def unknown(node: dict[str, Any], where: str) -> Any:
        yield from (f"{where}: {keyword}" for keyword in sorted(set(node) - KEYWORDS))
        if "additionalProperties" in node:
            yield from unknown(node["additionalProperties"], f"{where}{{}}")
        for name, child in node.get("properties", {}).items():
            yield from unknown(child, f"{where}.{name}")
        if "items" in node:
            yield from unknown(node["items"], f"{where}[]")

    assert list(unknown(version(plural)["schema"]["openAPIV3Schema"], plural)) == []


# What is in them is a pod's, and explained by `kubectl explain pod.spec`.
KUBERNETES_OWN = {
    *(f"spec.worker.{name}" for name in ("affinity", "env", "resources", "tolerations", "topologySpreadConstraints")),
    *(f"spec.pod.{name}" for name in ("resources", "tolerations")),
}


@pytest.mark.parametrize("plural", [FEED_PLURAL, SINK_PLURAL])
def test_every_field_of_the_spec_is_described(plural: str) -> None:
    def undescribed(node: dict[str, Any], where: str) -> Any:
        for name, child in node.get("properties", {}).items():
            # A reference's parent says what it refers to.
            if "description" not in child and name != "name":
                yield f"{where}.{name}"
            if f"{where}.{name}" not in KUBERNETES_OWN:
                yield from undescribed(child, f"{where}.{name}")
        if "items" in node:
            yield from undescribed(node["items"], f"{where}[]")

    assert list(undescribed(schema(plural, "spec"), "spec")) == []


def filled(node: dict[str, Any], value: Any) -> Any:
    """What the API server makes of ``value``: structural defaulting."""
    if isinstance(value, list):
        return [filled(node["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    full = dict(value)
    for name, child in node.get("properties", {}).items():
        if name not in full and "default" in child:
            full[name] = child["default"]
        if name in full:
            full[name] = filled(child, full[name])
    return full


MINIMAL = {
    "roots": [{"symbol": "CL"}, {"symbol": "NG", "depth": {}}],
    "accounts": {"secretRef": {"name": "accounts"}},
    "kafka": {"bootstrapServers": "kafka:9092"},
}
WITH_VAULT = MINIMAL | {"accounts": {"keyVault": {"url": "https://example.vault.azure.net"}}}


WITH_POD = MINIMAL | {"worker": {"image": "r/w:1", "resources": {"limits": {"memory": "3Gi"}}, "env": [{"name": "A"}]}}


@pytest.mark.parametrize(
    "spec", [MINIMAL, WITH_VAULT, WITH_POD, MINIMAL | {"extraCA": {"name": "ca"}}, MINIMAL | {"recording": {}}]
)
def test_both_have_the_same_defaults(spec: dict[str, Any]) -> None:
    by_server = msgspec.convert(filled(schema(FEED_PLURAL, "spec"), spec), FeedSpec)
    by_type = msgspec.convert(spec, FeedSpec)
    assert by_server == by_type


REDIS = {"url": "redis://redis:6379/0"}
SECRET = {"passwordSecretRef": {"name": "p"}}


@pytest.mark.parametrize(
    "destination",
    [
        {"redis": REDIS},
        {"redis": REDIS | SECRET | {"url": "rediss://redis:6379", "caSecretRef": {"name": "ca"}}},
        {"clickhouse": {"url": "http://clickhouse:8123"} | SECRET},
        {"computation": {"team": "desk", "name": "rolling_vwap", "redis": REDIS}},
        {
            "computation": {"team": "desk", "name": "own", "sql": "SELECT 1", "redis": REDIS},
            "pod": {"logLevel": "Debug"},
        },
    ],
)
def test_a_sink_has_the_same_defaults_in_both(destination: dict[str, Any]) -> None:
    spec = {"feedRef": {"name": "energy"}} | destination
    by_server = msgspec.convert(filled(schema(SINK_PLURAL, "spec"), spec), SinkSpec)
    assert by_server == msgspec.convert(spec, SinkSpec)


def test_bounds_of_a_sink_are_those_that_both_sides_keep() -> None:
    status = schema(SINK_PLURAL, "status")
    assert at(status, "conditions.[].message")["maxLength"] == feed_status.MAX_MESSAGE
    assert at(status, "conditions")["maxItems"] >= len(SinkCondition)
    assert at(status, "conditions.[].reason")["maxLength"] >= max(len(reason) for reason in SinkReason)
    assert at(status, "lastError")["maxLength"] == MAX_ERROR
    assert status["properties"]["pods"]["additionalProperties"]["properties"]["error"]["maxLength"] == MAX_ERROR
    replicas = at(schema(SINK_PLURAL, "spec"), "replicas")["maximum"]
    assert status["properties"]["pods"]["maxProperties"] == 2 * replicas  # an update has the old and the new pods


def test_topics_given_in_part_are_filled_in_by_the_server() -> None:
    spec = MINIMAL | {"kafka": {"bootstrapServers": "kafka:9092", "topics": {"feedEvents": {"name": "mine"}}}}
    topics = msgspec.convert(filled(schema(FEED_PLURAL, "spec"), spec), FeedSpec).kafka.topics
    assert (topics.feed_events.name, topics.feed_events.partitions) == ("mine", 1)
    assert (topics.ticklast.name, topics.ticklast.partitions) == ("ticklast", 12)


def test_a_shard_that_the_server_has_filled_in_reads_as_the_type_would_have_it() -> None:
    spec = {"feed": "energy", "worker": 0}
    assert msgspec.convert(filled(schema(SHARD_PLURAL, "spec"), spec), ShardSpec) == msgspec.convert(spec, ShardSpec)


def test_bounds_of_the_status_are_those_that_the_operator_keeps() -> None:
    status = schema(FEED_PLURAL, "status")
    assert at(status, "contracts")["maxItems"] == feed_status.MAX_CONTRACTS
    assert at(status, "unassigned")["maxItems"] == feed_status.MAX_UNASSIGNED
    assert at(status, "shards")["maxItems"] == feed_status.MAX_WORKERS
    assert at(status, "shards.[].symbols")["maxItems"] == feed_status.MAX_SYMBOLS
    assert at(status, "shards.[].message")["maxLength"] == feed_status.MAX_SHARD_MESSAGE
    assert at(status, "unassigned.[].message")["maxLength"] >= feed_status.MAX_SHARD_MESSAGE
    assert at(status, "conditions.[].message")["maxLength"] == feed_status.MAX_MESSAGE
    assert at(status, "shardsSummary")["maxLength"] == feed_status.MAX_SUMMARY
    assert at(status, "conditions")["maxItems"] >= len(Condition)


def test_reasons_fit_where_they_are_written() -> None:
    longest = max(len(reason) for reason in Reason)
    assert longest <= at(schema(FEED_PLURAL, "status"), "conditions.[].reason")["maxLength"]
    assert longest <= at(schema(SHARD_PLURAL, "status"), "reason")["maxLength"]
    assert (
        max(len(session) for session in Session) <= at(schema(FEED_PLURAL, "status"), "shards.[].session")["maxLength"]
    )


def test_what_is_bounded_twice_is_bounded_alike() -> None:
    feed, shard = schema(FEED_PLURAL, "spec"), schema(SHARD_PLURAL, "spec")
    for theirs, ours in [
        (at(feed, "roots.[].symbol"), at(shard, "contracts.[].root")),
        (at(feed, "roots.[].exchange"), at(shard, "contracts.[].exchange")),
        (at(feed, "roots.[].tradingClass"), at(shard, "contracts.[].tradingClass")),
        (at(feed, "roots.[].multiplier"), at(shard, "contracts.[].multiplier")),
        (at(feed, "roots.[].currency"), at(shard, "contracts.[].currency")),
        (at(feed, "accounts.linesPerAccount"), at(shard, "lines")),
    ]:
        assert theirs.get("maxLength") == ours.get("maxLength")
        assert theirs.get("maximum") == ours.get("maximum")
    lines = at(feed, "accounts.linesPerAccount")["maximum"]
    # Each line may have a contract that comes in beside one that goes.
    assert at(shard, "contracts")["maxItems"] >= 2 * lines
    assert at(schema(SHARD_PLURAL, "status"), "contracts")["maxItems"] >= at(shard, "contracts")["maxItems"]
    assert at(shard, "worker")["maximum"] == at(feed, "workers")["maximum"] - 1
    assert at(shard, "account.index")["maximum"] == (
        at(feed, "accounts.first")["maximum"] + at(feed, "accounts.count")["maximum"] - 1
    )


def test_names_of_products_are_bounded_where_workers_read_them() -> None:
    shard, feed = schema(SHARD_PLURAL, "spec"), schema(FEED_PLURAL, "status")
    limits = {
        "exchange": instrument.LONGEST_EXCHANGE,
        "tradingClass": instrument.LONGEST_TRADING_CLASS,
        "multiplier": instrument.LONGEST_MULTIPLIER,
        "currency": instrument.LONGEST_CURRENCY,
    }
    for name, limit in limits.items():
        assert at(shard, f"contracts.[].{name}")["maxLength"] == at(feed, f"contracts.[].{name}")["maxLength"] == limit
    assert at(shard, "contracts.[].symbol")["maxLength"] == instrument.LONGEST_SYMBOL
    for place in ("contracts.[].symbol", "unassigned.[].symbol", "shards.[].symbols.[]"):
        assert at(feed, place)["maxLength"] == at(shard, "contracts.[].symbol")["maxLength"]


def test_a_source_fits_a_label_and_a_lease_name() -> None:
    longest_vault = Accounts(key_vault=KeyVault(url=f"https://{'v' * 50}.vault.azure.net"))
    assert len(longest_vault.source) <= LABEL_LIMIT
    assert at(schema(FEED_PLURAL, "spec"), "accounts.secretRef.name")["maxLength"] <= LABEL_LIMIT


def test_scale_and_columns_point_to_fields_that_exist() -> None:
    for plural in PLURALS:
        root = version(plural)["schema"]["openAPIV3Schema"]
        scale = version(plural)["subresources"].get("scale", {})
        paths = [column["jsonPath"] for column in version(plural)["additionalPrinterColumns"]] + list(scale.values())
        for path in paths:
            if path.startswith(".metadata") or "?(" in path:
                continue
            at(root, path.lstrip("."))


def test_denied_kafka_config_is_spelt_alike() -> None:
    (rule,) = at(schema(FEED_PLURAL, "spec"), "kafka.config")["x-kubernetes-validations"]
    assert rule["rule"] == f"self.all(name, !name.matches('{DENIED_CONFIG}'))"


def test_states_are_spelt_alike() -> None:
    assert at(schema(SHARD_PLURAL, "spec"), "contracts.[].state")["enum"] == [str(state) for state in EntryState]
    assert at(schema(SHARD_PLURAL, "status"), "contracts.[].state")["enum"] == [str(state) for state in ContractState]
    assert at(schema(SHARD_PLURAL, "status"), "session")["enum"] == [str(session) for session in Session]


def test_log_levels_are_spelt_alike() -> None:
    levels = [str(level) for level in LogLevel]
    assert at(schema(FEED_PLURAL, "spec"), "worker.logLevel")["enum"] == levels
    assert at(schema(SHARD_PLURAL, "spec"), "logLevel")["enum"] == levels


def test_variables_that_the_operator_sets_are_refused_in_the_spec() -> None:
    """Else the one given twice would be refused by the API server, on the StatefulSet, where nobody looks."""
    spec = msgspec.convert(WITH_VAULT | {"extraCA": {"name": "ca"}, "recording": {}}, FeedSpec)
    template = pod_template(Feed(namespace="n", name="f", uid="u", generation=1, spec=spec), "image")
    ours = {variable["name"] for variable in template["spec"]["containers"][0]["env"]}
    (rule,) = at(schema(FEED_PLURAL, "spec"), "worker.env")["x-kubernetes-validations"]
    prefixes = re.findall(r"e\.name\.startsWith\('(\w+)'\)", rule["rule"])
    names = re.findall(r"'(\w+)'", rule["rule"].partition("e.name in ")[2])
    assert prefixes
    assert names
    assert {name for name in ours if name not in names and not name.startswith(tuple(prefixes))} == set()


def test_labels_that_the_operator_sets_are_refused_in_the_spec() -> None:
    rules = at(schema(FEED_PLURAL, "spec"), "worker.labels")["x-kubernetes-validations"]
    prefixes = re.findall(r"k\.startsWith\('([\w./]+)'\)", rules[1]["rule"])
    names = re.findall(r"'([\w./-]+)'", rules[1]["rule"].partition("k in ")[2])
    spec = msgspec.convert(WITH_VAULT, FeedSpec)
    ours = pod_template(Feed(namespace="n", name="f", uid="u", generation=1, spec=spec), "image")["metadata"]["labels"]
    assert {name for name in ours if name not in names and not name.startswith(tuple(prefixes))} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_feeds_as_the_type_has_them(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] == "IbSink":
            found = msgspec.convert(filled(schema(SINK_PLURAL, "spec"), document["spec"]), SinkSpec, strict=True)
            assert found.feed_ref.name
        if document["kind"] != "IbFeed":
            continue
        given = document["spec"]
        spec = msgspec.convert(filled(schema(FEED_PLURAL, "spec"), given), FeedSpec, strict=True)
        assert spec.roots
        unknown = sorted(set(given["kafka"]) - set(at(schema(FEED_PLURAL, "spec"), "kafka")["properties"]))
        assert unknown == []
        assert not [name for name in spec.kafka.config if re.match(DENIED_CONFIG, name)]
