"""What all feeds of one operator process have in common."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import httpx

from ibfeed_api.calls import Signer
from ibfeed_operator.cluster import Cluster
from ibfeed_operator.liveness import LeaseObserver


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``namespace``: the only one to serve; empty: all."""

    worker_image: str
    operator_namespace: str
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    cluster: Cluster
    http: httpx.AsyncClient
    settings: Settings
    signer: Signer = field(default_factory=Signer)
    leases: LeaseObserver = field(default_factory=LeaseObserver)
    # Feeds on one source choose accounts one after the other; by (namespace, source).
    choosing: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)
