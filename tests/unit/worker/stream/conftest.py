from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.fake_broker import FakeBroker
from unit.worker.stream.bench import Bench


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
async def bench(broker: FakeBroker) -> AsyncIterator[Bench]:
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    bench.streamer.obey(())
    yield bench
    broker.answer()
    await bench.streamer.close()
