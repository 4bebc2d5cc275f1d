"""The report of contracts to the operator, and to a person. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from ibfeed_api.reasons import Reason
from ibfeed_api.shard import ContractState, Report
from ibfeed_worker.stream.contract import Contract

_FIRST_FRAME_S: Final = 5.0  # IB answers a subscription at once
# The worst first.
_TROUBLES: Final = {
    ContractState.REFUSED: Reason.SUBSCRIPTION_REFUSED,
    ContractState.SILENT: Reason.CONTRACT_SILENT,
}


def report(contract: Contract, now_s: float) -> Report:
    """Return the contract's report at ``now_s``, in seconds since 1970."""
    mark = contract.mark
    return Report(
        conid=contract.entry.conid,
        epoch=contract.entry.epoch,
        state=contract.state,
        event_time=mark.event_time if mark else None,
        seq=mark.seq if mark else None,
        last_tick_time=_rfc3339(contract.last_frame_s),
        message=_why(contract, now_s),
        kafka_epoch=contract.kafka_epoch,
    )


def remark(contracts: Collection[Contract], now_s: float) -> tuple[Reason, str] | None:
    """Return the worst trouble of single contracts while the session is well."""
    found = [contract for contract in contracts if contract.state in _TROUBLES]
    if not found:
        return None
    first = min(found, key=lambda contract: list(_TROUBLES).index(contract.state))
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return _TROUBLES[first.state], f"{first.entry.symbol}{others}: {_why(first, now_s)}"


def _why(contract: Contract, now_s: float) -> str:
    """Why a contract does not publish; empty where there is nothing to say.

    Of a contract that publishes: why its order book does not.
    """
    state = contract.state
    if state is ContractState.REFUSED:
        return f"IB refuses it: {contract.refusal}"
    if state is ContractState.SILENT and contract.silent_since is not None:
        since = _clock(contract.silent_since)
        return f"IB sends nothing of it since {since}, although it trades; it is asked again"
    if state is not ContractState.SUBSCRIBING:
        return f"IB refuses its order book: {contract.depth.refusal}" if contract.depth.refusal else ""
    if contract.kafka_epoch is not None:
        epoch = contract.entry.epoch
        return f"Kafka has it under epoch {contract.kafka_epoch} already: it waits for a later one than {epoch}"
    if contract.subscribed_s is not None and now_s - contract.subscribed_s > _FIRST_FRAME_S:
        return f"IB has sent nothing of it since it was subscribed at {_clock(contract.subscribed_s)}"
    return _why_unacknowledged(contract) if contract.confirmed else ""


def _why_unacknowledged(contract: Contract) -> str:
    if contract.waits_for_kafka:
        return "Kafka is asked how far it was published"
    if contract.writer.stalled:
        return "Kafka does not acknowledge its records"
    return "Kafka has not acknowledged a record of it yet" if contract.writer.used else ""


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S UTC")


def _rfc3339(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
