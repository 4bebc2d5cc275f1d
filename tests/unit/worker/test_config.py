from __future__ import annotations

import json
from pathlib import Path

import pytest

from ibfeed_worker.config import ConfigError, read

SPEC = {
    "accounts": {"secretRef": {"name": "paper"}, "count": 3},
    "kafka": {"bootstrapServers": "kafka:9092"},
    "gateway": {"upstream": "https://api.example.com"},
}
GOOD = {
    "POD_NAME": "energy-0",
    "POD_NAMESPACE": "default",
    "POD_UID": "u-1",
    "IBFEED_FEED": "energy",
    "IBFEED_SPEC": json.dumps(SPEC),
}


def test_defaults_and_kafkas_overrides() -> None:
    config = read(GOOD | {"KAFKA_BOOTSTRAP_SERVERS": "other:9092", "KAFKA_LINGER_MS": "20"})
    assert config.holder == "energy-0_u-1"
    assert config.shard == "default/energy-0"
    assert config.spec.kafka.bootstrap_servers == "other:9092"
    assert config.spec.kafka.linger_ms == 20
    assert (config.gateway_port, config.http_port) == (5000, 8080)


def test_frames_are_recorded_only_where_the_operator_says_so() -> None:
    assert read(GOOD).recording_folder is None
    config = read(GOOD | {"IBFEED_RECORDING_DIR": "/recording", "IBFEED_RECORDING_GIB": "3"})
    assert config.recording_folder == Path("/recording")
    assert config.recording_limit == 3 * 2**30


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"POD_UID": ""}, "POD_UID is not set"),
        ({"IBFEED_SPEC": "{"}, "IBFEED_SPEC is not a worker's spec"),
        ({"IBFEED_SPEC": json.dumps(SPEC | {"accounts": {}})}, "accounts.keyVault or accounts.secretRef"),
        ({"KAFKA_BATCH_SIZE": "many"}, "KAFKA_BATCH_SIZE is 'many'"),
        ({"IBFEED_EXTRA_CA": "/nowhere/ca.crt"}, "/nowhere/ca.crt, which is not a file"),
    ],
)
def test_bad_configuration_says_what_is_wrong(change: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read(GOOD | change)
