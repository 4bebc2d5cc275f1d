"""When a write that came second may go out again: if nothing has changed that its decision can rest upon."""

from __future__ import annotations

import msgspec
import pytest

from ibfeed_api.shard import ContractState, Entry, EntryState, KafkaStatus, Report, Session, ShardSpec, ShardStatus
from ibfeed_operator.controller.predicates import decision_inputs
from ibfeed_operator.model.types import Shard

PUBLISHED = Report(conid=7, epoch=3, state=ContractState.PUBLISHING, event_time=1000, seq=5)
RELEASED = Report(conid=8, epoch=3, state=ContractState.RELEASED, event_time=1000, seq=5)


def shard(
    *reports: Report,
    session: Session = Session.STREAMING,
    started_at: str = "a",
    epoch: int = 3,
    reachable: bool | None = True,
) -> Shard:
    entry = Entry(conid=7, symbol="CLZ6", root="CL", slot=0, epoch=epoch, state=EntryState.ACTIVE)
    return Shard(
        name="energy-0",
        worker=0,
        uid="u",
        resource_version="1",
        spec=ShardSpec(feed="energy", worker=0, contracts=(entry,)),
        status=ShardStatus(
            session=session,
            started_at=started_at,
            kafka=KafkaStatus(reachable=reachable),
            contracts=reports,
            last_tick_time="now",
        ),
    )


def test_how_far_a_publishing_worker_is_changes_no_decision() -> None:
    later = msgspec.structs.replace(PUBLISHED, event_time=2000, seq=9, last_tick_time="later")
    assert decision_inputs(shard(later, RELEASED)) == decision_inputs(shard(PUBLISHED, RELEASED))


@pytest.mark.parametrize(
    "changed",
    [
        shard(PUBLISHED),
        shard(PUBLISHED, msgspec.structs.replace(RELEASED, event_time=2000, seq=9)),  # the next one's mark
        shard(msgspec.structs.replace(PUBLISHED, state=ContractState.SUBSCRIBING), RELEASED),
        shard(msgspec.structs.replace(PUBLISHED, epoch=4), RELEASED),
        shard(msgspec.structs.replace(PUBLISHED, kafka_epoch=4), RELEASED),
        shard(PUBLISHED, RELEASED, session=Session.RECONNECTING),
        shard(PUBLISHED, RELEASED, started_at="b"),
        shard(PUBLISHED, RELEASED, reachable=False),
        shard(PUBLISHED, RELEASED, reachable=None),
        shard(PUBLISHED, RELEASED, epoch=4),  # another operator has written
    ],
)
def test_whatever_a_decision_may_rest_on_is_seen(changed: Shard) -> None:
    assert decision_inputs(changed) != decision_inputs(shard(PUBLISHED, RELEASED))
