"""A ShardStatus as a merge-patch, and whether its news is waited for. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from ibfeed_api.shard import ContractState, Report, ShardStatus


def patch(status: ShardStatus) -> dict[str, Any]:
    """Return the merge-patch that makes the stored status equal to ``status``.

    A merge-patch leaves alone the fields that it does not name. So every field is named: absent ones as null, which
    removes them. Lists are replaced whole.
    """
    return {"status": _complete(status)}


def _complete(value: msgspec.Struct) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        inner = getattr(value, field.name)
        named[field.encode_name] = _complete(inner) if isinstance(inner, msgspec.Struct) else msgspec.to_builtins(inner)
    return named


def is_awaited(before: ShardStatus, after: ShardStatus) -> bool:
    """Whether ``after`` holds news that a reader of ``before`` waits for.

    No reader waits to hear that a contract has just come, and is ``subscribing``, or that one has gone.
    """
    if _session(before) != _session(after):
        return True
    known = {report.conid: report for report in before.contracts}
    return any(_is_news(known.get(report.conid), report) for report in after.contracts)


def _session(status: ShardStatus) -> object:
    told = (status.started_at, status.session, status.reason, status.message, status.account)
    return (*told, status.market_data_live, status.kafka, status.reference)


def _is_news(known: Report | None, report: Report) -> bool:
    if known is None or known.epoch != report.epoch:
        return report.state is not ContractState.SUBSCRIBING or report.kafka_epoch is not None
    # A contract that was further and is subscribing again is bad news. One that waits for a higher epoch says so in
    # ``kafka_epoch``.
    return (known.state, known.kafka_epoch) != (report.state, report.kafka_epoch)


def stamp(moment: float | None) -> str | None:
    """Return epoch seconds as RFC 3339, UTC."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
