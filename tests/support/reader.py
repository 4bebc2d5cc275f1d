"""A reader that follows the documented rule: it drops a record of a lower epoch than it has seen of the contract."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from support.stream import Record


@dataclass
class RuledReader:
    """The reader of one topic, in order of arrival. ``falls``: taken records whose ``seq`` is not above the last."""

    taken: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # conid -> number of records
    epochs: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # conid -> in the order of arrival
    dropped: list[str] = field(default_factory=list)
    falls: list[str] = field(default_factory=list)
    _seq: dict[int, int] = field(default_factory=dict)

    def read(self, records: Iterable[Record]) -> None:
        for record in records:
            self._read(record)

    def _read(self, record: Record) -> None:
        conid, epoch, seq = record.conid, int(record.headers["epoch"]), record.value["seq"]
        epochs = self.epochs[conid]
        if epochs and epoch < epochs[-1]:
            self.dropped.append(f"{conid} under {epoch} after {epochs[-1]}")
            return
        if seq <= self._seq.get(conid, -1):
            self.falls.append(f"{conid}: {seq} after {self._seq[conid]}")
        self._seq[conid] = seq
        self.taken[conid] += 1
        if not epochs or epoch > epochs[-1]:
            epochs.append(epoch)
