"""Who wrote what to the API server, from its own audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

POLICY: Final = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete]
- level: None
"""


@dataclass(frozen=True, slots=True)
class Write:
    """``at``: seconds since 1970, when it was done. ``what``: such as ``ibshards/status``."""

    at: float
    user: str
    what: str
    name: str
    code: int


class _User(msgspec.Struct, frozen=True):
    username: str


class _Object(msgspec.Struct, frozen=True):
    resource: str = ""
    subresource: str = ""
    name: str = ""


class _Answer(msgspec.Struct, frozen=True):
    code: int = 0


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    stage_timestamp: datetime
    user: _User
    object_ref: _Object = _Object()
    response_status: _Answer = _Answer()


def writes(log: Path, since: float, until: float) -> list[Write]:
    """All that was written between two moments (seconds since 1970), refused writes included."""
    found = []
    for line in log.read_bytes().splitlines():
        event = msgspec.json.decode(line, type=_Event)
        at = event.stage_timestamp.timestamp()
        if since <= at <= until:
            ref = event.object_ref
            what = f"{ref.resource}/{ref.subresource}" if ref.subresource else ref.resource
            found.append(Write(at, event.user.username, what, ref.name, event.response_status.code))
    return found


def caused(found: Iterable[Write], involved: Collection[str], harness: str) -> Counter[tuple[str, str]]:
    """By user and kind, the writes that an event caused: without what the harness does in the kubelet's place.

    Left out is what goes on at all times: a worker renews its Lease every 3 s and refreshes its status every 10 s. Of
    ``involved`` workers every write counts, the refreshes, too.
    """
    return Counter(
        (write.user, write.what)
        for write in found
        if write.user != harness
        and write.what != "leases"
        and not (write.what == "ibshards/status" and write.name not in involved)
    )
