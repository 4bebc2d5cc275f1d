"""``IbFeed.status`` as typed values. ``crds/ibfeeds.yaml`` is the authority on the bounds, and both must agree.

Only the operator writes it. It reads two things back: when each condition last changed, and, after its own restart, the
former contracts, slots and epochs. For the latter the entries of the IbShards take precedence.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from ibfeed_api.instrument import Instrument

MAX_CONTRACTS: Final = 1000
MAX_UNASSIGNED: Final = 200
MAX_WORKERS: Final = 200
MAX_SYMBOLS: Final = 50  # of one shard; ``contracts`` counts all of them
MAX_MESSAGE: Final = 1024  # characters of a condition; a person reads no more
MAX_SHARD_MESSAGE: Final = 512
MAX_SUMMARY: Final = 8192


class _StatusStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class ConditionStatus(_StatusStruct, frozen=True, kw_only=True):
    """One condition, of the form ``metav1.Condition``. ``last_transition_time`` is RFC 3339 in UTC."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int


class WorkerStatus(_StatusStruct, frozen=True, kw_only=True):
    """An item of ``status.shards``: one worker with its account and its load."""

    worker: str  # energy-0, the name of its IbShard and of its pod
    session: str = ""
    account: int | None = None
    contracts: int
    publishing: int
    standbys: int = 0  # contracts of other workers that it holds ready
    image: str = ""  # the image of its pod, while that is not FeedStatus.image
    symbols: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""


class ContractStatus(Instrument, frozen=True, kw_only=True):
    """An item of ``status.contracts``. ``worker``, ``standby``: names of workers, None while there is none."""

    slot: int
    epoch: int = 0
    worker: str | None = None
    standby: str | None = None  # that holds it ready, and would go on with it at once
    publishing: bool = False
    depth: bool = False


class UnassignedStatus(_StatusStruct, frozen=True, kw_only=True):
    """An item of ``status.unassigned``: a contract without a worker, and why."""

    conid: int
    symbol: str
    reason: str
    message: str = ""


class FeedStatus(_StatusStruct, frozen=True, kw_only=True, omit_defaults=False):
    """The status of an IbFeed. Zeros are written, too, since they are columns of ``kubectl get``.

    ``truncated``: ``contracts`` or ``unassigned`` hold only the first items. The counts are always of all.
    """

    observed_generation: int = 0
    conditions: tuple[ConditionStatus, ...] = ()
    contract_count: int = 0
    assigned_count: int = 0
    publishing_count: int = 0
    unassigned_count: int = 0
    standby_count: int = 0  # contracts that a standby would go on with at once
    highest_epoch: int = 0  # of all contracts, present and past; a contract that comes back continues above it
    replicas: int = 0  # pods that exist, for the scale subresource
    workers: int = 0  # workers that are streaming
    balanced_workers: int = 0  # spec.workers when loads were last made even, for rebalance: OnScale
    workers_summary: str = ""  # "3/3", for the printer column
    shards_summary: str = ""  # "energy-0→1:6 energy-1→2:6": worker→account:contracts
    selector: str = ""
    image: str = ""  # the image that the workers should run
    shards: tuple[WorkerStatus, ...] = ()
    contracts: tuple[ContractStatus, ...] = ()
    unassigned: tuple[UnassignedStatus, ...] = ()
    truncated: bool = False

    def condition(self, kind: str) -> ConditionStatus | None:
        return next((condition for condition in self.conditions if condition.type == kind), None)
