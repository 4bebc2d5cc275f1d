"""The dependencies that all feeds of one operator process share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from ibfeed_api.calls import Signer
from ibfeed_api.failsafe import Member
from ibfeed_api.failsafe_member import FailsafeMember
from ibfeed_operator.controller.snapshot import Informers
from ibfeed_operator.kube.client import KubeClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``namespace``: the only one to serve; empty: all. ``pod_ip``: where workers reach this process; may be empty.

    ``sink_image``: of the pods of sinks that name none of their own; may be empty.
    """

    worker_image: str
    operator_namespace: str
    namespace: str = ""
    pod_ip: str = ""
    sink_image: str = ""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """``clock`` tells which contracts have expired; nothing is measured by it.

    ``failsafe``: this process as a member of failsafes. ``as_member``: how workers reach it; None if nobody can.
    """

    kube: KubeClient
    failsafe: FailsafeMember
    informers: Informers
    http: aiohttp.ClientSession
    settings: Settings
    clock: Callable[[], datetime] = utc_now
    signer: Signer = field(default_factory=Signer)
    as_member: Member | None = None
    # Events are asked for by one feed after the other.
    asking_events: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Feeds on one source choose accounts one after the other; by (namespace, source).
    choosing: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)
