"""What is done about batches that Kafka refuses for their size."""

from __future__ import annotations

from ibfeed_worker.publish.refusals import Refusal, after_refusals


def refused(seq: int, size: int = 300, partition: int = 0) -> Refusal:
    return Refusal("ticks", partition, None, seq, size)


def test_who_is_refused_alone_is_too_large() -> None:
    assert after_refusals([refused(1, 900)], 1000) == ([refused(1, 900)], 1000)


def test_of_several_nobody_knows_and_batches_become_smaller() -> None:
    assert after_refusals([refused(seq) for seq in range(10)], 1_000_000) == ([], 1500)


def test_each_partition_has_batches_of_its_own() -> None:
    alone, size = after_refusals([refused(1), refused(2), refused(3, partition=1)], 1_000_000)
    assert (alone, size) == ([refused(3, partition=1)], 300)


def test_it_ends_whatever_kafka_takes() -> None:
    """Kafka takes 700 bytes; one of the records has more."""
    records, size, lost = [refused(seq, 2000 if seq == 7 else 300) for seq in range(40)], 1_000_000, 0
    for _ in range(100):
        batch: list[Refusal] = []
        total = 0
        for record in records:
            if batch and total + record.size > size:
                break
            batch.append(record)
            total += record.size
        if not batch:
            break
        if total <= 700:
            records = records[len(batch) :]
            continue
        alone, size = after_refusals(batch, size)
        records = [record for record in records if record not in alone]
        lost += len(alone)
    assert (records, lost) == ([], 1)
