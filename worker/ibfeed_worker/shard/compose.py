"""The worker's report in its IbShard's status, put together from its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ibfeed_api.shard import ContractState, KafkaStatus, Report, Session, ShardStatus
from ibfeed_worker.session.status import SessionStatus
from ibfeed_worker.shard.status import stamp
from ibfeed_worker.shard.watch import Shard
from ibfeed_worker.stream import Streamer

_LONGEST_TROUBLE: Final = 1024  # characters that an IbShard's status takes


def compose_status(
    *,
    shard: Shard | None,
    started_at: str,
    session: SessionStatus,
    explained: str,
    streamer: Streamer | None,
    reference: str,
    left_behind: Mapping[int, int],
    key: str,
) -> ShardStatus:
    """The IbShard's status.

    Args:
        started_at: start of this process, RFC 3339.
        explained: the session's message, with what the gateway said of it.
        streamer: None until Kafka is about to be tried.
        reference: what keeps reference data from being written; empty if nothing does.
        left_behind: conid to epoch of what an earlier process published. It is released, whatever happens to this one
            before it can do anything.
        key: this process's public key.
    """
    if streamer is None:
        over = ContractState.RELEASED
        reports = tuple(Report(conid=conid, epoch=epoch, state=over) for conid, epoch in left_behind.items())
    else:
        reports = streamer.reports()
    reason, message = session.reason, explained
    streaming = session.session is Session.STREAMING
    if streamer is not None and streaming and not reason and (remark := streamer.remark()) is not None:
        reason, message = remark
    return ShardStatus(
        observed_generation=shard.generation if shard else 0,
        started_at=started_at,
        session=session.session,
        reason=reason,
        message=message,
        account=session.account,
        market_data_live=streamer.market_data_live if streamer else None,
        kafka=streamer.kafka_status() if streamer else KafkaStatus(),
        key=key,
        reference=reference[:_LONGEST_TROUBLE],
        contract_count=sum(report.state is ContractState.PUBLISHING for report in reports),
        standby_count=streamer.standby_count if streamer else 0,
        lines=f"{streamer.lines_used if streamer else 0}/{shard.spec.lines if shard else 0}",
        last_tick_time=stamp(streamer.last_tick) if streamer else None,
        contracts=reports,
    )
