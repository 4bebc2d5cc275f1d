"""The worker's configuration, read from the pod's environment; see docs/architecture/worker-pod.md."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ibfeed_api.feed import Kafka, WorkerSpec
from ibfeed_api.lease import holder_of
from ibfeed_api.worker_pod import GATEWAY_PORT, WORKER_PORT


class ConfigError(Exception):
    """The environment can't be used. The text says which variable is wrong, and why."""


@dataclass(frozen=True, slots=True)
class Config:
    """The worker's configuration, checked."""

    pod: str  # also the IbShard's name and Kafka's client id
    namespace: str
    pod_uid: str
    node: str
    feed: str
    spec: WorkerSpec
    extra_ca: Path | None
    gateway_folder: Path
    gateway_port: int
    http_port: int
    chromium: Path
    chromedriver: Path
    recording_folder: Path | None = None  # where raw frames are recorded; None: they are not
    recording_limit: int = 0  # bytes of this worker's recordings

    @property
    def run_folder(self) -> Path:
        """The folder of this worker's files.

        A pod's /tmp outlives a container, so a restarted one finds the folder again.

        The path is short because Chromium puts a Unix socket below it, whose path may have 107 bytes in all.
        """
        return Path(tempfile.gettempdir()) / f"ibfeed-{self.pod_uid[:8]}"

    @property
    def holder(self) -> str:
        """The identity on the account's Lease. A restarted container of the same pod is the same holder."""
        return holder_of(self.pod, self.pod_uid)

    @property
    def number(self) -> int:
        """The number of the worker within its feed."""
        ordinal = self.pod.rpartition("-")[2]
        return int(ordinal) if ordinal.isdecimal() else 0

    @property
    def shard(self) -> str:
        return f"{self.namespace}/{self.pod}"


def read(environment: Mapping[str, str]) -> Config:
    """Read and check the configuration. Raises ConfigError."""

    def wanted(name: str) -> str:
        if value := environment.get(name, ""):
            return value
        raise ConfigError(f"environment variable {name} is not set; the operator's StatefulSet sets it")

    try:
        spec = msgspec.json.decode(wanted("IBFEED_SPEC"), type=WorkerSpec)
    except msgspec.DecodeError as error:
        raise ConfigError(f"IBFEED_SPEC is not a worker's spec: {error}") from None
    if spec.accounts.key_vault is None and spec.accounts.secret_ref is None:
        raise ConfigError("IBFEED_SPEC names no source of accounts: set accounts.keyVault or accounts.secretRef")
    extra_ca = environment.get("IBFEED_EXTRA_CA", "")
    if extra_ca and not Path(extra_ca).is_file():
        raise ConfigError(
            f"IBFEED_EXTRA_CA names {extra_ca}, which is not a file: check spec.extraCA's ConfigMap and key"
        )
    return Config(
        pod=wanted("POD_NAME"),
        namespace=wanted("POD_NAMESPACE"),
        pod_uid=wanted("POD_UID"),
        node=environment.get("NODE_NAME", ""),
        feed=wanted("IBFEED_FEED"),
        spec=msgspec.structs.replace(spec, kafka=_kafka(spec.kafka, environment)),
        extra_ca=Path(extra_ca) if extra_ca else None,
        gateway_folder=Path(environment.get("IBFEED_GATEWAY_DIR", "/opt/gateway")),
        gateway_port=_number(environment, "IBFEED_GATEWAY_PORT", GATEWAY_PORT),
        http_port=_number(environment, "IBFEED_HTTP_PORT", WORKER_PORT),
        chromium=Path(environment.get("IBFEED_CHROMIUM", "/usr/bin/chromium")),
        chromedriver=Path(environment.get("IBFEED_CHROMEDRIVER", "/usr/bin/chromedriver")),
        recording_folder=Path(folder) if (folder := environment.get("IBFEED_RECORDING_DIR", "")) else None,
        recording_limit=_number(environment, "IBFEED_RECORDING_GIB", 10) * 1024**3,
    )


def _kafka(spec: Kafka, environment: Mapping[str, str]) -> Kafka:
    return msgspec.structs.replace(
        spec,
        bootstrap_servers=environment.get("KAFKA_BOOTSTRAP_SERVERS") or spec.bootstrap_servers,
        linger_ms=_number(environment, "KAFKA_LINGER_MS", spec.linger_ms),
        batch_size=_number(environment, "KAFKA_BATCH_SIZE", spec.batch_size),
    )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal():
        raise ConfigError(f"{name} is {text!r}, not a whole number")
    return int(text)
