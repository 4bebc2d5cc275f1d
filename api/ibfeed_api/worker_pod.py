"""``IbFeed.spec.worker`` as typed values: the settings of an installation for its workers' pods.

Affinity, tolerations and spread constraints stay plain mappings. The operator only passes them on to Kubernetes,
``crds/ibfeeds.yaml`` bounds them, and no part of the product reads them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

WORKER_CONTAINER: Final = "worker"
WORKER_PORT: Final = 8080
LIFELINE_PATH: Final = "/v1/lifeline"  # answers, and then stays open for as long as the worker's process lives
GATEWAY_PORT: Final = 5000


def address_of(ip: str, port: int) -> str:
    """Return ``host:port`` of a pod's server, as a URL has it: an IPv6 address in brackets."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


class LogLevel(StrEnum):
    """``IbFeed.spec.worker.logLevel``, and ``logLevel`` of each of its shards."""

    DEBUG = "Debug"
    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"


class PullPolicy(StrEnum):
    """``IbFeed.spec.worker.imagePullPolicy``, as Kubernetes spells it."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


Quantity = int | str
Passed = dict[str, Any]  # JSON that only Kubernetes reads


class _PodStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class ObjectName(_PodStruct, frozen=True, kw_only=True):
    name: str


class Quantities(_PodStruct, frozen=True, kw_only=True):
    """Amounts as Kubernetes writes them: ``500m``, ``1Gi``, ``2``."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = msgspec.field(name="ephemeral-storage", default=None)


class Resources(_PodStruct, frozen=True, kw_only=True):
    """Requests and limits, merged key by key into the operator's own."""

    requests: Quantities = msgspec.field(default_factory=Quantities)
    limits: Quantities = msgspec.field(default_factory=Quantities)


class KeyReference(_PodStruct, frozen=True, kw_only=True):
    """A key of a Secret or ConfigMap in the feed's namespace."""

    name: str
    key: str
    optional: bool | None = None


class EnvSource(_PodStruct, frozen=True, kw_only=True):
    """The source of a variable's value. Exactly one field is set."""

    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None


class EnvVar(_PodStruct, frozen=True, kw_only=True):
    name: str
    value: str | None = None
    value_from: EnvSource | None = None


class WorkerPod(_PodStruct, frozen=True, kw_only=True):
    """``IbFeed.spec.worker``. A field that an installation does not set is absent or empty.

    A change restarts workers, except of ``log_level``.
    """

    image: str | None = None  # None: the operator's IBFEED_WORKER_IMAGE
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    image_pull_secrets: tuple[ObjectName, ...] = ()
    resources: Resources = msgspec.field(default_factory=Resources)
    node_selector: dict[str, str] = {}
    tolerations: tuple[Passed, ...] = ()
    affinity: Passed | None = None
    topology_spread_constraints: tuple[Passed, ...] = ()
    priority_class_name: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    env: tuple[EnvVar, ...] = ()
    log_level: LogLevel = LogLevel.INFO
