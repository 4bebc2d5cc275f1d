"""What of an object a cycle could decide upon: an event that changes nothing of it wakes nobody. Pure.

Workers write ``lastTickTime`` every second and renew Leases every three; the regular look sees these soon enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ibfeed_api import names

Body = Mapping[str, Any]


def of_feed(body: Body) -> object:
    meta = body["metadata"]
    pin = (meta.get("annotations") or {}).get(names.ANNOTATION_PIN)
    return (meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp"), pin)


def of_shard(body: Body) -> object:
    meta, status = body["metadata"], body.get("status") or {}
    reports = [(item.get("conid"), item.get("epoch"), item.get("state")) for item in status.get("contracts") or ()]
    facts = [status.get(key) for key in ("startedAt", "session", "reason", "message", "account", "marketDataLive")]
    drain = (meta.get("annotations") or {}).get(names.ANNOTATION_DRAIN)
    return (
        meta.get("uid"),
        meta.get("generation"),
        drain,
        facts,
        (status.get("kafka") or {}).get("reachable"),
        reports,
    )


def of_pod(body: Body) -> object:
    meta, status = body["metadata"], body.get("status") or {}
    containers = [
        (item.get("name"), item.get("ready"), item.get("restartCount"), item.get("state"))
        for item in status.get("containerStatuses") or ()
    ]
    return (meta.get("uid"), meta.get("deletionTimestamp"), status.get("phase"), status.get("podIP"), containers)


def of_lease(body: Body) -> object:
    meta = body["metadata"]
    return (meta.get("uid"), (body.get("spec") or {}).get("holderIdentity"), dict(meta.get("annotations") or {}))


def of_workload(body: Body) -> object:
    meta = body["metadata"]
    return (meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp"))
