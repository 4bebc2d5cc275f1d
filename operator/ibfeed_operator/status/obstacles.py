"""Finds in events why a wanted pod is not created, or does not start. Pure.

Some obstacles are reported only by an event. If the API server refuses a pod (a quota, a policy, a webhook), the
StatefulSet controller posts an event on the StatefulSet. If a kubelet cannot mount a volume, it posts one on the pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from ibfeed_operator.model.text import clip

REFUSED: Final = "FailedCreate"
CREATED: Final = "SuccessfulCreate"

# A message of the StatefulSet controller. Its client combines events that differ only in the pod once there are many.
_OF_A_POD: Final = re.compile(
    r"(?:\(combined from similar events\): )?\w+ Pod (\S+) in StatefulSet \S+ (?:successful|failed error: (.*))",
    re.DOTALL,
)
_FORBIDDEN: Final = re.compile(r'^pods "[^"]*" is forbidden: ')
_LONGEST: Final = 400

# Advice for a person, by a phrase in the API server's text. The first match counts.
_ADVICE: Final = (
    ("exceeded quota", "raise the ResourceQuota, or ask for less in spec.worker.resources"),
    ("failed quota", "set what the ResourceQuota demands in spec.worker.resources"),
    (" usage per ", "set spec.worker.resources to what the namespace's LimitRange allows"),
    ("limit to request ratio", "set spec.worker.resources to what the namespace's LimitRange allows"),
    (
        "violates PodSecurity",
        "the operator's own pod template keeps to `restricted`: remove what a person or a webhook adds to it",
    ),
    ("PriorityClass", "make that PriorityClass, or correct spec.worker.priorityClassName"),
    ("webhook", "correct that webhook, or exempt this namespace from it"),
    ("service account", "the operator makes it again within a minute"),
)
_ELSE: Final = "correct what it names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A Kubernetes event. ``at``: when it was seen last, by the clock of its reporter."""

    reason: str
    message: str
    warning: bool
    at: datetime


class _EventMeta(msgspec.Struct, rename="camel"):
    creation_timestamp: datetime | None = None


class _Series(msgspec.Struct, rename="camel"):
    last_observed_time: datetime | None = None


class _KubeEvent(msgspec.Struct, rename="camel"):
    metadata: _EventMeta
    type: str = ""
    reason: str = ""
    message: str = ""
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: _Series | None = None


def read_event(raw: bytes | msgspec.Raw) -> Event:
    """Read an event. Raises msgspec.ValidationError if it cannot be read."""
    item = msgspec.json.decode(raw, type=_KubeEvent)
    latest = item.series.last_observed_time if item.series is not None else None
    at = latest or item.last_timestamp or item.event_time or item.metadata.creation_timestamp
    return Event(
        reason=item.reason,
        message=item.message,
        warning=item.type == "Warning",
        at=at or datetime.fromtimestamp(0, UTC),
    )


def refusal(events: Iterable[Event], pod: str) -> str:
    """Return why ``pod`` is not created, from the events of its StatefulSet; empty if they do not say so.

    A refusal counts if it is newer than the pod's latest creation. If many pods are refused, the events name only some
    of them. Then the latest of these stands for the others.
    """
    refused: Event | None = None
    others: Event | None = None
    created: datetime | None = None
    for event in sorted(events, key=lambda event: event.at):
        found = _OF_A_POD.fullmatch(event.message)
        if found is None:
            continue
        if event.reason == CREATED and found[1] == pod:
            created = event.at
        elif event.reason == REFUSED and found[1] == pod:
            refused = event
        elif event.reason == REFUSED:
            others = event
    latest = refused or others
    if latest is None or (created is not None and latest.at <= created):
        return ""
    found = _OF_A_POD.fullmatch(latest.message)
    error = _FORBIDDEN.sub("", (found[2] if found is not None else None) or "it does not say why")
    return (
        f"the API server refuses its pod: {_one_line(error)}; {advice(error)}; Kubernetes is asked for the pod again"
        " each minute"
    )


def advice(error: str) -> str:
    """Return advice on the API server's refusal of a pod."""
    return next((what for phrase, what in _ADVICE if phrase in error), _ELSE)


def obstruction(events: Iterable[Event]) -> str:
    """Return why a pod does not start, from its own events; empty if they do not say so."""
    warnings = [event for event in events if event.warning]
    if not warnings:
        return ""
    latest = max(warnings, key=lambda event: event.at)
    return f"its pod is not started: {latest.reason}: {_one_line(latest.message)}"


def _one_line(text: str) -> str:
    return clip(" ".join(text.split()), _LONGEST)
