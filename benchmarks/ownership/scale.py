"""200 workers and 10,000 contracts: how fast the operator plans, what a worker's death costs, what it all weighs.

    PYTHONPATH=api:operator:worker:tests:benchmarks python -m ownership.scale

A real API server, the real operator under its own rights, and 200 hollow workers with the real worker's client of
IbShard and Lease (``crowd.py``); all of them, and what measures, share this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ibfeed_operator.planning.balancer import Capacity, Demand, plan
from ownership import audit
from ownership.hollow_stage import FEED, FEEDS, WORKERS, Stage, cpu_s, stage
from support.control_plane import ADMIN, OPERATOR

WORKER_COUNT: Final = 200
ROOTS: Final = 200
MONTHS: Final = 50
LINES: Final = 51  # whoever comes is given all that he can have, so filling moves nothing; and each can take one more
DEATHS: Final = 5
CROWDS: Final = 2
_PLANS: Final = 21

Progress = Callable[[str], object]


def measure(progress: Progress) -> dict[str, float]:
    """The keys of the issue's table, worst of several runs where there are several, and what else is worth knowing."""
    return plan_figures() | asyncio.run(_measure(progress, workers=WORKER_COUNT, roots=ROOTS, deaths=DEATHS))


def plan_figures(contracts: int = ROOTS * MONTHS, workers: int = WORKER_COUNT) -> dict[str, float]:
    """Milliseconds of one plan in which a worker joins all the others; the median."""
    wants = [Demand(conid, f"2031{conid % 12:02d}20") for conid in range(contracts)]
    seats = [Capacity(worker, 100) for worker in range(workers)]
    before = plan(wants, seats[:-1], {}).owners
    durations = []
    for _ in range(_PLANS):
        begun = time.process_time()  # computing it is all that it does
        after = plan(wants, seats, before).owners
        durations.append((time.process_time() - begun) * 1000)
    moved = sum(after[conid] != owner for conid, owner in before.items())
    assert moved == contracts // workers, moved
    return {"plan_ms_10k_200": round(statistics.median(durations), 1)}


async def _measure(progress: Progress, *, workers: int, roots: int, deaths: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        async with stage(Path(directory), crowds=CROWDS) as scene:
            run = Run(scene, progress, workers, roots)
            try:
                return await run.all(deaths)
            except BaseException:
                for name in ("operator", "crowd-0", "crowd-1"):
                    progress(f"{name}: {(Path(directory) / name).with_suffix('.log').read_text()[-2000:]}")
                raise


class Run:
    def __init__(self, scene: Stage, progress: Progress, workers: int, roots: int) -> None:
        self._scene, self._progress = scene, progress
        self._workers, self._roots = workers, roots
        self._most_rss = 0.0

    async def all(self, deaths: int) -> dict[str, float]:
        figures = {"operator_rss_mb_idle": round(self._scene.operator.memory_mb()[0], 1)}
        figures |= await self._fill()
        figures |= await self._root_added()
        figures |= await self._quiet()
        ends, joins = [], []
        for number in range(deaths):
            pod = f"{FEED}-{number * 37 % self._workers}"
            one = await self._death(pod)
            ends.append(one)
            joins.append(await self._join(pod))
            self._progress(f"{pod} died: {one}; its return: {joins[-1]}")
        figures |= {
            "converge_s_200": max(one["converge_s"] for one in ends),
            "converge_s_200_median": statistics.median(one["converge_s"] for one in ends),
            "republished_s_200": max(one["published_s"] for one in ends),
            "writes_per_death": max(one["writes"] for one in ends),
            "operator_cpu_s_per_death": statistics.median(one["operator_cpu_s"] for one in ends),
            "api_server_cpu_s_per_death": statistics.median(one["api_server_cpu_s"] for one in ends),
            "writes_per_join": max(join["writes"] for join in joins),
            "join_s": max(join["seconds"] for join in joins),
        }
        figures |= await self._roll()
        figures |= self._sizes()
        rss, peak = self._scene.operator.memory_mb()
        return figures | {"operator_rss_mb": round(peak, 1), "operator_rss_mb_end": round(rss, 1)}

    async def _fill(self) -> dict[str, float]:
        """Bring up all workers, one after the other, with all roots but the last one."""
        begun = time.time()
        manifest = {
            "apiVersion": "ibfeed.dev/v1alpha1",
            "kind": "IbFeed",
            "metadata": {"name": FEED, "namespace": "default"},
            "spec": {
                "roots": self._spec_of_roots(self._roots - 1),
                "frontMonths": MONTHS,
                "workers": self._workers,
                "accounts": {"secretRef": {"name": "accounts"}, "count": self._workers, "linesPerAccount": LINES},
                "kafka": {"bootstrapServers": "kafka:9092"},
            },
        }
        await self._scene.cluster.create(manifest)
        await self._scene.feeds.until(
            lambda: (
                FEED in self._scene.feeds.objects and self._scene.feeds.objects[FEED].status.workers == self._workers
            ),
            within=600,
            what="all workers stream",
        )
        self._progress(f"{self._workers} workers stream after {time.time() - begun:.0f} s; {_rounded(cpu_s())}")
        await self._covered(MONTHS * (self._roots - 1), within=300)
        took = time.time() - begun
        self._progress(f"{MONTHS * (self._roots - 1)} contracts published after {took:.0f} s; {_rounded(cpu_s())}")
        return {"fill_s": round(took, 1)}

    async def _root_added(self) -> dict[str, float]:
        since = time.time()
        await self._patch_roots(self._spec_of_roots(self._roots))
        await self._covered(MONTHS * self._roots, within=120)
        figures = {"root_added_s": round(time.time() - since, 2), "writes_per_root_added": await self._writes(since)}
        self._progress(f"a root of {MONTHS} contracts added: {figures}")
        return figures

    async def _quiet(self) -> dict[str, float]:
        """What goes on while nothing happens."""
        await asyncio.sleep(5)
        since, before = time.time(), cpu_s()
        await asyncio.sleep(15)
        seconds = time.time() - since
        found = audit.writes(self._scene.audit_log, since, time.time())
        counts = Counter((write.user, write.what) for write in found)
        cpu = {
            f"quiet_cpu_percent_{name}": round(100 * (used - before[name]) / seconds) for name, used in cpu_s().items()
        }
        self._progress(f"quiet: {_told(counts)} in {seconds:.0f} s")
        return {
            **cpu,
            "quiet_lease_writes_per_s": round(counts[WORKERS, "leases"] / seconds, 1),
            "quiet_status_writes_per_s": round(counts[WORKERS, "ibshards/status"] / seconds, 1),
            "quiet_operator_writes_per_s": round(sum(n for (u, _), n in counts.items() if u == OPERATOR) / seconds, 2),
        }

    async def _death(self, pod: str) -> dict[str, float]:
        scene = self._scene
        before = scene.active()
        mine = {conid for conid, shard in before.items() if shard == pod}
        used = cpu_s()
        since = await scene.kill(pod)

        def elsewhere() -> bool:
            active = scene.active()
            return all(active.get(conid, pod) != pod for conid in mine)

        await scene.shards.until(elsewhere, within=60, what=f"the contracts of {pod} are Active elsewhere")
        converged = time.time() - since
        after = scene.active()
        assert all(after[conid] == shard for conid, shard in before.items() if shard != pod), "others have moved, too"
        await self._covered(MONTHS * self._roots, within=60)
        published = time.time() - since
        spent = {name: now - used[name] for name, now in cpu_s().items()}
        return {
            "contracts": len(mine),
            "converge_s": round(converged, 2),
            "published_s": round(published, 2),
            "operator_cpu_s": round(spent["operator"], 2),
            "api_server_cpu_s": round(spent["kube-apiserver"], 2),
            "writes": await self._writes(since, {after[conid] for conid in mine} | {pod}),
        }

    async def _join(self, pod: str) -> dict[str, float]:
        """The worker comes back, and takes its share by planned moves."""
        share = MONTHS * self._roots // self._workers
        before = self._scene.active()
        since = await self._scene.start(pod)

        def taken() -> bool:
            shard = self._scene.shards.objects[pod]
            return sum(held.state == "Active" for held in shard.spec.contracts) == share and not self._scene.moving()

        await self._scene.shards.until(taken, within=120, what=f"{pod} has its share again")
        await self._covered(MONTHS * self._roots, within=60)
        seconds = time.time() - since
        after = self._scene.active()
        moved = {before[conid] for conid in before if before[conid] != after[conid]}
        return {"seconds": round(seconds, 2), "writes": await self._writes(since, moved | {pod})}

    async def _roll(self) -> dict[str, float]:
        """One contract leaves and another enters: the writes of a roll, made by the months of two roots."""
        roots = self._spec_of_roots(self._roots)
        roots[0]["frontMonths"], roots[1]["frontMonths"] = MONTHS - 1, MONTHS + 1
        before = self._scene.active()
        since = time.time()
        await self._patch_roots(roots)
        await self._scene.shards.until(
            lambda: self._scene.active().keys() != before.keys() and len(self._scene.active()) == len(before),
            within=60,
            what="one contract for another",
        )
        await self._covered(len(before), within=60)
        after = self._scene.active()
        changed = {before.get(conid) or after[conid] for conid in before.keys() ^ after.keys()}
        figures = {"roll_s": round(time.time() - since, 2), "writes_per_roll": await self._writes(since, changed)}
        self._progress(f"one contract for another: {figures}")
        return figures

    async def _covered(self, contracts: int, *, within: float) -> None:
        """Until the shards say that all are published, and the feed's status says so, too."""
        scene = self._scene
        await scene.shards.until(
            lambda: scene.publishing() == contracts and not scene.moving(), within=within, what=f"{contracts} published"
        )
        await scene.feeds.until(
            lambda: scene.feeds.objects[FEED].status.publishing_count == contracts, within=30, what="the status says so"
        )

    async def _writes(self, since: float, involved: Sequence[str] | set[str] | None = None) -> int:
        """Writes that an event has caused until now; everybody's status writes count without ``involved``."""
        until = time.time()
        await asyncio.sleep(0.5)
        found = audit.writes(self._scene.audit_log, since, until)
        everybody = self._scene.shards.objects.keys()
        counts = audit.caused(found, everybody if involved is None else involved, ADMIN)
        self._progress(f"  writes: {_told(counts)}; refused: {sum(write.code >= 400 for write in found)}")
        return sum(counts.values())

    def _sizes(self) -> dict[str, float]:
        return {
            "largest_ibshard_bytes": max(self._scene.shards.sizes.values()),
            "ibfeed_bytes": self._scene.feeds.sizes[FEED],
            "all_ibshards_bytes": sum(self._scene.shards.sizes.values()),
        }

    def _spec_of_roots(self, count: int) -> list[dict[str, Any]]:
        return [{"symbol": f"R{number}"} for number in range(count)]

    async def _patch_roots(self, roots: list[dict[str, Any]]) -> None:
        await self._scene.cluster.patch(f"{FEEDS}/{FEED}", {"spec": {"roots": roots}})


def _rounded(cpu: dict[str, float]) -> str:
    return "cpu: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(cpu.items()))


def _told(counts: Counter[tuple[str, str]]) -> str:
    return ", ".join(f"{user.rpartition(':')[2]} {what} {count}" for (user, what), count in counts.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=WORKER_COUNT)
    parser.add_argument("--roots", type=int, default=ROOTS, help=f"each of {MONTHS} contracts")
    parser.add_argument("--deaths", type=int, default=DEATHS)
    options = parser.parse_args()
    figures = plan_figures()
    begun = time.monotonic()

    def progress(text: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {text}", flush=True)

    progress(str(figures))
    figures |= asyncio.run(_measure(progress, workers=options.workers, roots=options.roots, deaths=options.deaths))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
