"""A week of two workers, their operator and IB in virtual time: is each update on Kafka once, or within a recorded gap?

Real are the workers' whole life (lifecycle, session, stream, publish), the operator's cycle, the venue, the gateway
stand-in, their TLS sockets, and Kafka. In place of the API server is a dictionary, in place of the browser the form
that it would post (``edges.py``), and time passes only while nothing is left to do (``virtual_time.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from datapath import kafka_side, memory_api, near_operator, near_venue, virtual_time
from datapath.edges import KafkaEdge, edges_of, paced
from datapath.memory_api import Object, Objects, WorkersKube
from datapath.near_venue import Witness
from datapath.soak_verdict import Outcome, Window, judge
from datapath.virtual_time import Clock, Outside
from datapath.week import KAFKA_AWAY, START, Fault, happenings
from ibfeed_api import log
from ibfeed_api.feed import Accounts, FeedSpec, Gateway, Kafka, Root, SecretRef, Topic, Topics
from ibfeed_api.kinds import shard_name
from ibfeed_operator.controller.snapshot import feeds_path, shards_path
from ibfeed_simulator.certificates import gateway_certificate, issue
from ibfeed_simulator.market import hours
from ibfeed_simulator.venue.faults import Action, Condition
from ibfeed_simulator.venue.settings import Settings
from ibfeed_simulator.venue.users import User
from ibfeed_simulator.venue.venue import Venue
from ibfeed_worker.config import Config
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.runtime.stop import Stop
from ibfeed_worker.worker import Worker
from support.ports import free_port

HOURS: Final = 168.0
NAMESPACE, FEED, SOURCE = "soak", "soak", "paper"
WORKERS: Final = 2
ROOTS: Final = {"CL": 4, "NG": 4}  # contracts of each
INTERVAL_S: Final = 20.0  # between two updates of a contract
SERVERS: Final = os.environ.get("KAFKA", "10.244.0.1:9092")
_KAFKA_PATIENCE_S: Final = 2.0  # virtual seconds that an acknowledgement may take: less than any limit of the worker's
_WARM_UP: Final = timedelta(minutes=5)
_SETTLE_S: Final = 120.0  # at the end, for what is under way
_PROGRESS_S: Final = 5.0
_LOOK_S: Final = 60.0


@dataclass(slots=True)
class Run:
    """What happened in the simulated time. ``sent``: as of ``Witness``; ``sessions``: states that the workers told."""

    sent: dict[int, list[int]] = field(default_factory=dict)
    logins: int = 0
    logouts: int = 0
    renewals: int = 0
    websockets: int = 0
    gateway_starts: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    sessions: Counter[str] = field(default_factory=Counter)
    wall_s: float = 0.0
    cpu_s: float = 0.0


class Soak:
    """The world of one run."""

    def __init__(
        self,
        clock: Clock,
        outside: Outside,
        length: timedelta,
        topics: Topics,
        folder: Path,
        *,
        workers: int = WORKERS,
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._outside = outside
        self._length = length
        self._folder = folder
        self._objects = Objects()
        self._edge = KafkaEdge(clock, outside)
        self._users = [User(f"paper{index}", f"secret-{uuid.uuid4().hex}") for index in range(1, workers + 1)]
        self._pods = [str(uuid.uuid4()) for _ in range(workers)]
        self._ports = [free_port() for _ in range(workers)]
        self._venue_port = free_port()
        self._metrics = [Metrics() for _ in range(workers)]
        self._told: dict[str, str] = {}
        self._run = Run()
        self._spec = FeedSpec(
            roots=tuple(Root(symbol=root, front_months=months) for root, months in ROOTS.items()),
            accounts=Accounts(secret_ref=SecretRef(name=SOURCE), count=workers),
            kafka=Kafka(bootstrap_servers=SERVERS, topics=topics, linger_ms=0),
            workers=workers,
            gateway=Gateway(upstream=f"https://127.0.0.1:{self._venue_port}"),
        )

    async def run(self, say: Callable[[str], None]) -> Run:
        wall, cpu = time.perf_counter(), time.process_time()
        self._outside.patience_s = _KAFKA_PATIENCE_S
        gateway, issued = gateway_certificate(), issue(["127.0.0.1"])
        pem = self._folder / "gateway.pem"
        pem.write_text(gateway.pem)
        trust = ssl.create_default_context(cadata=issued.authority)
        users = {user.username: user for user in self._users}
        settings = Settings(users=users, hours="exchange", interval=INTERVAL_S, replay=False)
        ports = {_address(number): port for number, port in enumerate(self._ports)}
        self._create_feed()
        self._edges = edges_of(self._edge, pem, gateway.sha256, trust, self._on_form)
        with paced():
            async with (
                near_venue.serving(settings, issued, self._venue_port, self._folder) as venue,
                near_operator.operating(self._objects, NAMESPACE, ports),
                self._fleet() as fleet,
            ):
                witness = Witness(venue, ROOTS)
                tasks = [
                    asyncio.create_task(self._follow(venue, witness, say)),
                    asyncio.create_task(self._break(venue)),
                ]
                await asyncio.wait(
                    [*tasks[:1], *fleet], timeout=self._length / timedelta(seconds=1), return_when="FIRST_COMPLETED"
                )
                for task in (*tasks, *fleet):
                    if task.done():
                        task.result()  # a defect ends the run
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                witness.read()
                self._count(venue, witness)
                await asyncio.sleep(_SETTLE_S)
        self._run.sent = {conid: sorted(times) for conid, times in witness.sent.items()}
        self._run.wall_s, self._run.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        return self._run

    async def _follow(self, venue: Venue, witness: Witness, say: Callable[[str], None]) -> None:
        """Keep the witness listening, read what it heard, say how far we are."""
        told = time.perf_counter()
        while True:
            witness.listen()
            witness.read()
            if time.perf_counter() - told > _PROGRESS_S:
                told = time.perf_counter()
                self._count(venue, witness)
                done = self._clock.elapsed / self._length.total_seconds()
                updates = sum(map(len, witness.sent.values()))
                run = self._run
                say(
                    f"{self._clock.now():%a %d %b %H:%M} UTC ({done:.0%}): {updates} updates, {run.logins} logins, "
                    f"{run.renewals} renewals, {run.faults.total()} faults"
                )
            await asyncio.sleep(_LOOK_S)

    def _count(self, venue: Venue, witness: Witness) -> None:
        records = [venue.sessions.record(user.username) for user in self._users]
        self._run.logins = sum(record.logins for record in records)
        self._run.logouts = sum(record.logouts for record in records)
        self._run.renewals = witness.renewals
        self._run.websockets = self._sum("ibfeed_websocket_connections_total")
        self._run.gateway_starts = self._sum("ibfeed_gateway_starts_total")

    def _sum(self, metric: str) -> int:
        return sum(int(metrics.registry.get_sample_value(metric) or 0) for metrics in self._metrics)

    # What goes wrong.

    def _on_form(self, username: str) -> None:
        """A login form is sent."""

    async def _break(self, venue: Venue) -> None:
        for happening in happenings(START, self._length):
            await asyncio.sleep(max(0.0, happening.at.timestamp() - self._clock.time()))
            self._run.faults[happening.what] += 1
            logging.getLogger(__name__).warning("FAULT %s", happening.what)
            for fault in happening.faults:
                self._set(venue, fault)

    def _set(self, venue: Venue, fault: Fault) -> None:
        """Of the workers' users one by one: the witness hears what it hears."""
        number = cast("float | None", fault.value)
        if fault.name == KAFKA_AWAY:
            self._edge.away_until = self._clock.elapsed + (fault.seconds or 0.0)
            return
        if fault.name == Action.DAILY_RESET:  # of a region
            venue.actions[Action.DAILY_RESET](None, number)
            return
        for user in self._users if fault.worker is None else [self._users[fault.worker]]:
            if fault.name == Condition.KILL_GATEWAY:
                venue.kill_gateway(user.username)
            elif fault.name in set(Action):
                venue.actions[Action(fault.name)](user.username, number)
            else:
                venue.conditions.set(Condition(fault.name), user.username, fault.value, fault.seconds, fault.count)

    # The feed and its workers.

    def _create_feed(self) -> None:
        feed = memory_api.feed(NAMESPACE, FEED, msgspec.to_builtins(self._spec))
        self._objects.create(f"{feeds_path(NAMESPACE)}/{FEED}", feed)
        started_at = self._clock.now().isoformat()
        for number, uid in enumerate(self._pods):
            pod = memory_api.pod(NAMESPACE, FEED, number, uid=uid, ip=_address(number), started_at=started_at)
            self._objects.create(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}", pod)
        self._objects.on_change.append(self._note_session)

    def _note_session(self, path: str, body: Object, _: bool) -> None:
        status = body.get("status") or {}
        said = f"{status.get('session', '')} {status.get('reason', '')}".strip()
        if path.startswith(shards_path(NAMESPACE)) and said and self._told.get(path) != said:
            self._told[path] = said
            self._run.sessions[said] += 1

    @contextlib.asynccontextmanager
    async def _fleet(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        secret: dict[str, bytes] = {}
        for index, user in enumerate(self._users, start=1):
            secret |= {f"username-{index}": user.username.encode(), f"password-{index}": user.password.encode()}
        kubes = [WorkersKube(self._objects, self._outside, NAMESPACE, {SOURCE: secret}) for _ in range(self._workers)]
        stop = Stop()
        tasks = [
            asyncio.create_task(Worker(self._config(number), kube, self._metrics[number], self._edges).run(stop))
            for number, kube in enumerate(kubes)
        ]
        try:
            yield tasks
        finally:
            stop.order()
            stop.order()  # nobody is left to take anything over
            await asyncio.gather(*tasks)
            for kube in kubes:
                kube.close()

    def _config(self, number: int) -> Config:
        return Config(
            pod=shard_name(FEED, number),
            namespace=NAMESPACE,
            pod_uid=self._pods[number],
            node="here",
            feed=FEED,
            spec=self._spec.for_worker,
            extra_ca=None,
            gateway_folder=self._folder,
            gateway_port=free_port(),
            http_port=self._ports[number],
            chromium=Path("/nowhere"),
            chromedriver=Path("/nowhere"),
        )


def _address(number: int) -> str:
    """A pod's, by name: an address of digits would not be looked up."""
    return f"pod-{number}"


def measure(say: Callable[[str], None], duration_h: float = HOURS) -> dict[str, Any]:
    """The phase: simulate, read Kafka, compare. ``soak_hours_simulated`` counts only if the verdict is clean."""
    name = f"soak-{uuid.uuid4().hex[:8]}"
    topics = Topics(
        ticklast=Topic(name=f"{name}-ticks", partitions=4),
        l2_data=Topic(name=f"{name}-depth", partitions=1),
        feed_events=Topic(name=f"{name}-events", partitions=1),
    )
    length = timedelta(hours=duration_h)
    with tempfile.TemporaryDirectory() as folder, kafka_side.deleted_afterwards(SERVERS, topics):

        async def main(clock: Clock, outside: Outside) -> Run:
            return await Soak(clock, outside, length, topics, Path(folder)).run(say)

        run = virtual_time.run(main, START)
        say(f"{duration_h:g} h in {run.wall_s:.0f} s, {run.cpu_s:.0f} s of a processor; reading Kafka")
        written, told = kafka_side.read(SERVERS, topics)
    begin, end = START + _WARM_UP, START + length
    # The witness hears contracts, too, that are not in the feed: each counts from its first record on.
    sent = {conid: [t for t in run.sent.get(conid, ()) if t >= of[0].event_time] for conid, of in written.items()}
    outcome = judge(sent, written, told, Window(_ms(begin), _ms(end) - 1), list(_open(begin, end)))
    return figures(duration_h, run, outcome)


def _open(begin: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """When the market is open."""
    day = begin.date() - timedelta(days=2)
    while day <= end.date() + timedelta(days=2):
        session = hours.session_of("exchange", day)
        if session is not None:
            yield _ms(session.opening), _ms(session.closing)
        day += timedelta(days=1)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def figures(duration_h: float, run: Run, outcome: Outcome) -> dict[str, Any]:
    happened = msgspec.to_builtins(run)
    del happened["sent"]
    return {
        "soak_hours_simulated": duration_h if outcome.clean else 0.0,
        "soak_lost": outcome.lost,
        "soak_duplicated": outcome.duplicated,
        "soak": {**msgspec.to_builtins(outcome), **happened},
    }


def main() -> int:
    """``python -m datapath.soak [hours]``; with ``SOAK_LOG=file`` the logs of all parts, in virtual time, are kept."""
    if kept := os.environ.get("SOAK_LOG"):
        handler = logging.FileHandler(kept, "w")
        handler.setFormatter(log.JsonLines())
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    else:
        logging.disable()
    found = measure(lambda text: print(text, flush=True), float(sys.argv[1]) if len(sys.argv) > 1 else HOURS)
    print(msgspec.json.format(msgspec.json.encode(found)).decode())
    return 0 if found["soak_hours_simulated"] else 1


if __name__ == "__main__":
    sys.exit(main())
