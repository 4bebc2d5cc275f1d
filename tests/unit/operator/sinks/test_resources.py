"""What the builders make of a sink, against files that a person has read.

``IBFEED_GOLDEN=write pytest tests/unit/operator/sinks`` writes the files again; read the difference before committing
it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ibfeed_api.feed import ConfigMapKey
from ibfeed_api.sink import REGISTRY_FOLDER, SETTINGS_VARIABLE, SinkSettings
from ibfeed_operator.resources.metadata import Manifest
from ibfeed_operator.sinks.model import SinkFeed
from ibfeed_operator.sinks.resources import sink_children, sink_selector
from support.ibsinks import CLICKHOUSE, COMPUTATION, KAFKA, REDIS, feed, sink

GOLDEN = Path(__file__).parent / "golden"
IMAGE = "ibfeed/platform:1.2.3"
KINDS = ("ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "Deployment")
OWN_POD = {
    "image": "registry.example.com/ibfeed/platform:2",
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}},
    "nodeSelector": {"pool": "data"},
    "tolerations": [{"operator": "Exists"}],
    "priorityClassName": "low",
}


def built(spec: dict[str, Any], to: SinkFeed | None = None, **more: Any) -> dict[str, Manifest]:
    it = sink(spec, **more)
    assert it.spec is not None
    found = sink_children(it, it.spec, to or feed(), image=IMAGE)
    return {manifest["kind"]: manifest for manifest in found}


def template(spec: dict[str, Any], to: SinkFeed | None = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = built(spec, to, **more)["Deployment"]["spec"]["template"]
    return found


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def check(name: str, manifest: Manifest) -> None:
    path = GOLDEN / name
    if os.environ.get("IBFEED_GOLDEN") == "write":
        path.write_text(yaml.dump(manifest, Dumper=_Plain, sort_keys=False, width=120))
    assert yaml.safe_load(path.read_text()) == manifest


@pytest.mark.parametrize("kind", KINDS)
def test_a_sink_to_redis_from_a_secured_kafka(kind: str) -> None:
    check(f"redis-{kind.lower()}.yaml", built(REDIS, feed(**KAFKA))[kind])


def test_the_schema_registry_s_secret_is_mounted() -> None:
    registry = {"url": "https://registry:8081", "secretRef": {"name": "registry"}}
    of_pod = template(REDIS, feed(**KAFKA | {"format": "Avro", "schemaRegistry": registry}))["spec"]
    (volume,) = (one for one in of_pod["volumes"] if one["name"] == "schema-registry")
    assert volume["secret"] == {"secretName": "registry", "optional": True, "defaultMode": 0o440}
    (mount,) = (one for one in of_pod["containers"][0]["volumeMounts"] if one["name"] == "schema-registry")
    assert (mount["mountPath"], mount["readOnly"]) == (REGISTRY_FOLDER, True)
    settings = msgspec.json.decode(of_pod["containers"][0]["env"][2]["value"], type=SinkSettings)
    assert settings.kafka.schema_registry is not None
    assert settings.kafka.schema_registry.url == "https://registry:8081"


@pytest.mark.parametrize(("name", "spec"), [("clickhouse", CLICKHOUSE), ("computation", COMPUTATION)])
def test_the_other_destinations(name: str, spec: dict[str, Any]) -> None:
    check(f"{name}-deployment.yaml", built(spec)["Deployment"])


def test_objects_come_in_the_order_in_which_they_are_needed() -> None:
    assert tuple(built(REDIS)) == KINDS


def test_everything_is_owned_by_the_sink_and_labelled() -> None:
    for manifest in built(REDIS).values():
        meta = manifest["metadata"]
        assert (meta["name"], meta["namespace"]) == ("latest-sink", "markets")
        assert [(o["kind"], o["name"], o["uid"]) for o in meta["ownerReferences"]] == [("IbSink", "latest", "u-1")]
        assert meta["labels"].items() >= sink_selector("latest").items()
        assert "ibfeed.dev/feed" not in meta["labels"], "the feed's informers would take its pods for workers"


def test_the_only_right_is_to_tell_of_its_own_sink() -> None:
    (rule,) = built(REDIS)["Role"]["rules"]
    assert rule == {
        "apiGroups": ["ibfeed.dev"],
        "resources": ["ibsinks/status"],
        "resourceNames": ["latest"],
        "verbs": ["patch"],
    }


@pytest.mark.parametrize("more", [{"replicas": 3}, {"suspend": True}])
def test_scale_and_suspension_leave_the_pod_as_it_is(more: dict[str, Any]) -> None:
    """Else a change of them would restart every pod."""
    assert template(REDIS, **more) == template(REDIS)
    assert built(REDIS, **more)["Deployment"]["spec"]["replicas"] == (0 if "suspend" in more else 3)


@pytest.mark.parametrize("spec", [REDIS, CLICKHOUSE, COMPUTATION])
def test_the_process_reads_back_what_it_needs(spec: dict[str, Any]) -> None:
    (container,) = template(spec, feed(**KAFKA))["spec"]["containers"]
    (value,) = (variable["value"] for variable in container["env"] if variable["name"] == SETTINGS_VARIABLE)
    found = msgspec.json.decode(value.replace("$$", "$"), type=SinkSettings)
    assert (found.sink, found.group) == ("latest", "ibfeed-sink-markets-latest")
    assert found.spec == sink(spec).spec
    assert found.kafka == feed(**KAFKA).kafka
    assert "$(HOME)" not in value.replace("$$", "")


def test_a_secret_that_is_missing_keeps_no_pod_from_starting() -> None:
    """The process tells which one it is."""
    to = SinkFeed(kafka=feed(**KAFKA).kafka, extra_ca=ConfigMapKey(name="ca"))
    sources = [
        volume.get("secret") or volume["configMap"]
        for volume in template(REDIS, to)["spec"]["volumes"]
        if "emptyDir" not in volume
    ]
    assert len(sources) == 5
    assert all(source["optional"] for source in sources)


def test_passwords_come_as_files_only() -> None:
    (container,) = template(REDIS, feed(**KAFKA))["spec"]["containers"]
    assert "secretKeyRef" not in json.dumps(container["env"])


def test_own_settings_of_the_pod_are_merged() -> None:
    spec = template(REDIS, pod=OWN_POD)["spec"]
    (container,) = spec["containers"]
    assert container["image"] == OWN_POD["image"]
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "128Mi"},
        "limits": {"memory": "1Gi"},
    }
    for name in ("imagePullSecrets", "nodeSelector", "tolerations", "priorityClassName"):
        assert spec[name] == OWN_POD[name]


def test_a_clickhouse_has_one_process_at_a_time() -> None:
    assert built(CLICKHOUSE)["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert built(REDIS)["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
