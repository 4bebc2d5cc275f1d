"""How many ticks a second a core carries, beside a bare loop of the fastest parts and beside other clients.

The clients run one after the other, round after round, each on the same processor; sender and Kafka share the other
one, so a figure is at most what these can feed it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from datapath.laps import CONTRACTS, FLOOD_LINGER_MS, PARTITIONS, Outcome, Track, ours
from datapath.records import written
from datapath.verdict import faults_of, median, ratio_of_medians
from ibfeed_local import peers
from ibfeed_local.state import State
from support.broker import Broker

ROUNDS: Final = 5
# Client -> updates of one window, and how many may be under way: less than any client's or library's own queue holds,
# and so many that the client need not wait. With 8,000 ours did for an eighth of the time; ibind is busy with 4,000.
WINDOWS: Final = {"ours": (300_000, 30_000), "bare": (400_000, 30_000), "peer_ibind": (40_000, 4000)}
CRYPTOFEED: Final = 6000
SIDE_TOPICS: Final = ("-events", "-books")


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Keys ``ticks_per_s_core``, ``limit_ratio``, ``vs_ibind``, ``vs_cryptofeed_kafka``, and what they rest on."""
    runs: dict[str, list[Outcome]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            asyncio.run(broker.start())
            track = Track(Path(folder), broker.servers)
            for number in range(ROUNDS):
                for name in (*WINDOWS, "peer_cryptofeed"):
                    found = _window(track, name, number)
                    runs[name].append(found)
                    say(f"{name}: {found.per_s:,.0f} ticks/s, {1e6 / found.per_cpu_s:.1f} µs of processor each")
        finally:
            broker.kill()
    rate = {name: [found.per_s for found in of] for name, of in runs.items()}
    cpu = {name: [1e6 / found.per_cpu_s for found in of] for name, of in runs.items()}
    return {
        "ticks_per_s_core": round(median(rate["ours"])),
        "limit_ratio": round(ratio_of_medians(rate["ours"], rate["bare"]), 3),
        "vs_ibind": round(ratio_of_medians(rate["ours"], rate["peer_ibind"]), 2),
        "vs_cryptofeed_kafka": round(ratio_of_medians(rate["ours"], rate["peer_cryptofeed"]), 1),
        "throughput_runs": {name: [round(value) for value in values] for name, values in rate.items()},
        "throughput_cpu_us": {name: round(median(values), 2) for name, values in cpu.items()},
        "throughput_linger_ms": FLOOD_LINGER_MS,
        "throughput_records_verified": sum(found.acknowledged for found in runs["ours"]),
    }


def _window(track: Track, name: str, number: int) -> Outcome:
    """Raises AssertionError if what is on Kafka is not what was sent."""
    python = peers.python(State.from_environment()) if name.startswith("peer_") else Path(sys.executable)
    command: list[str | Path] = ours() if name == "ours" else [python, "-m", f"datapath.{name}"]
    topic = f"bench-{name}-{number}"
    with track.topic(topic, PARTITIONS):
        if name == "peer_cryptofeed":
            return track.run_alone(command, topic, CRYPTOFEED)
        if name != "ours":
            return track.run(command, topic, *WINDOWS[name], linger_ms=FLOOD_LINGER_MS)
        with track.topic(topic + SIDE_TOPICS[0], 1), track.topic(topic + SIDE_TOPICS[1], 1):
            found = track.run(command, topic, *WINDOWS[name], linger_ms=FLOOD_LINGER_MS)
            faults = faults_of(written(track.servers, topic, PARTITIONS), found.last, found.acknowledged)
            assert not faults, "; ".join(faults[:5])
            assert len(found.last) == CONTRACTS
            return found
