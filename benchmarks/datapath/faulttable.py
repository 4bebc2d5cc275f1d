"""The fault table: for each row a worker process of its own, with real gateway stand-in, browser, Kafka and API server.

Rows run on several lanes side by side, each with an account of its own; a witness at the venue hears every contract all
the while, so that a time in which the worker had no session counts as well.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from datapath.faultrows import ROWS, Begins, Row, Says
from ownership.evidence import Watch
from ownership.verdict import delivery, unreported
from ownership.witness import Login, Witness
from support import simulator
from support.cluster import eventually
from support.venue import Venue
from support.worker import Stage, Worker, entry

_LANES: Final = 3
_WITNESS: Final = _LANES + 1  # its account
_ROOT, _MONTHS = "CL", 3
_STREAMING_WITHIN_S: Final = 60.0
_AFTER_S: Final = 2.0  # of streaming after it

Contracts = Sequence[dict[str, Any]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row.

    ``fault``: what went wrong; empty if the worker came out of the row as it should. ``seconds``: to come out of it.
    ``missing``: updates that lie in gaps.
    """

    row: str
    fault: str
    seconds: float
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Lane:
    """One account of the venue, and the folder for its workers' files."""

    venue: simulator.Venue
    control: Venue
    gateway: Path
    folder: Path
    account: int

    @property
    def username(self) -> str:
        return self.venue.credentials[f"username-{self.account}"]

    def set(self, row: Row) -> None:
        for fault in row.faults:
            details = {"value": fault.value, "seconds": fault.seconds, "count": fault.count}
            whom = {} if fault.whole else {"username": self.username}
            self.control.fault(fault.name, **whom, **{name: value for name, value in details.items() if value})

    def heal(self, row: Row) -> None:
        """End what the row has set, and nobody else's."""
        if row.alone:
            self.control.heal()
        else:
            self.control.heal(username=self.username)

    def clean(self, row: Row) -> None:
        """Nothing is wrong, and nobody is logged in with this account."""
        self.heal(row)
        self.control.fault("yield", username=self.username)
        self.control.fault("expire_sso", username=self.username)


def measure(say: Say) -> dict[str, Any]:
    """The keys ``faults_tried``, ``faults_survived``, ``faults_unsurvived``, and ``faults``: a line for each row."""
    with tempfile.TemporaryDirectory(prefix="ibfeed-faults-") as folder:
        outcomes = _run(Path(folder), say)
    survived = sum(not outcome.fault for outcome in outcomes)
    return {
        "faults_tried": len(outcomes),
        "faults_survived": survived,
        "faults_unsurvived": len(outcomes) - survived,
        "faults": [
            {"row": o.row, "seconds": round(o.seconds, 1), "missing_in_gaps": o.missing, "fault": o.fault}
            for o in outcomes
        ],
    }


def _run(folder: Path, say: Say) -> list[Outcome]:
    gateway = simulator.unpacked_gateway(folder)
    (folder / "venue").mkdir()
    with simulator.Venue(folder / "venue", "--slower", "1", accounts=_WITNESS) as venue:
        control = Venue(f"http://127.0.0.1:{venue.control_port}")
        lanes = [Lane(venue, control, gateway, folder, account) for account in range(1, _LANES + 1)]
        contracts = _contracts(lanes[0])
        progress = _Progress(say, len(ROWS))
        alone = [row for row in ROWS if row.alone]
        outcomes = [progress.done(_outcome(lanes[0], row, contracts, None)) for row in alone]
        control.heal()
        login = Login(venue.credentials[f"username-{_WITNESS}"], venue.credentials[f"password-{_WITNESS}"])
        conids = [contract["conid"] for contract in contracts]
        with Witness(f"localhost:{venue.port}", venue.ca, login, conids) as witness:
            outcomes += _side_by_side(lanes, [row for row in ROWS if not row.alone], contracts, witness, progress)
            witness.require()
    return outcomes


def _side_by_side(
    lanes: Sequence[Lane], rows: Sequence[Row], contracts: Contracts, witness: Witness, progress: _Progress
) -> list[Outcome]:
    waiting: queue.SimpleQueue[Row] = queue.SimpleQueue()
    for row in sorted(rows, key=lambda row: -row.calm_s - row.lasts_s):  # so that no lane ends long after the others
        waiting.put(row)

    def work(lane: Lane) -> list[Outcome]:
        found = []
        while not waiting.empty():
            found.append(progress.done(_outcome(lane, waiting.get(), contracts, witness)))
        return found

    with ThreadPoolExecutor(len(lanes)) as pool:
        return [outcome for found in pool.map(work, lanes) for outcome in found]


class _Progress:
    def __init__(self, say: Say, rows: int) -> None:
        self._say = say
        self._rows = rows
        self._done = 0
        self._lock = threading.Lock()

    def done(self, outcome: Outcome) -> Outcome:
        with self._lock:
            self._done += 1
            verdict = outcome.fault or f"{outcome.seconds:.1f} s"
            self._say(f"{self._done}/{self._rows} {outcome.row}: {verdict}")
        return outcome


def _contracts(lane: Lane) -> Contracts:
    """What a worker resolves while nothing is wrong."""
    with Stage(lane.venue, lane.gateway, lane.folder) as stage, stage.worker(lane.account) as worker:
        worker.until("Streaming", within=_STREAMING_WITHIN_S)
        found: Contracts = worker.resolve(_ROOT, _MONTHS).json()["contracts"]
        return found


def _outcome(lane: Lane, row: Row, contracts: Contracts, witness: Witness | None) -> Outcome:
    lane.clean(row)
    begun = time.monotonic()
    try:
        with Stage(lane.venue, lane.gateway, lane.folder) as stage:
            meet = _at_login if row.begins is Begins.LOGIN else _while_streaming
            return meet(lane, row, stage, contracts, witness)
    except AssertionError as error:
        return Outcome(row.name, str(error).splitlines()[0][:300], time.monotonic() - begun)
    finally:
        lane.clean(row)


def _at_login(lane: Lane, row: Row, stage: Stage, contracts: Contracts, _: Witness | None) -> Outcome:
    lane.set(row)
    begun = time.monotonic()
    with stage.worker(lane.account, accounts={"max_failed_logins": 1}) as worker:
        if row.shows is not None:
            _until(worker, row.shows, row.within_s)
            lane.heal(row)
        _until(worker, row.ends, row.within_s)
    return Outcome(row.name, "", time.monotonic() - begun)


def _while_streaming(lane: Lane, row: Row, stage: Stage, contracts: Contracts, witness: Witness | None) -> Outcome:
    conids = [contract["conid"] for contract in contracts]
    with ExitStack() as stack:
        worker = stack.enter_context(stage.worker(lane.account, accounts={"compete_backoff_seconds": 3600}))
        worker.until("Streaming", within=_STREAMING_WITHIN_S)
        worker.give(lane.account, [entry(contract, slot=slot) for slot, contract in enumerate(contracts)])
        eventually(lambda: _publishing(worker) == set(conids), within=20, what="all contracts publishing")
        witnesses = [witness] if witness is not None else []
        topics = stage.topics
        watch = stack.enter_context(
            Watch(lane.control, witnesses, ticks=topics.ticklast.name, events=topics.feed_events.name)
        )
        time.sleep(row.calm_s)
        lane.set(row)
        begun = time.monotonic()
        if row.shows is not None:
            _until(worker, row.shows, row.within_s)
        else:
            time.sleep(row.lasts_s)
        lane.heal(row)
        healed = time.monotonic()
        _until(worker, row.ends, row.within_s)
        if row.ends.session != "Streaming":
            return Outcome(row.name, "", time.monotonic() - begun)
        moment_ms = lane.control.now_ms()

        def on_kafka_again() -> bool:
            written = watch.written()
            return all(any(record.event_time > moment_ms for record in written.get(conid, ())) for conid in conids)

        left = max(5.0, row.within_s - (time.monotonic() - healed))
        eventually(on_kafka_again, within=left, what="every contract on Kafka again")
        seconds = time.monotonic() - healed
        time.sleep(_AFTER_S)
        return _judged(row, watch, seconds)


def _judged(row: Row, watch: Watch, seconds: float) -> Outcome:
    evidence = watch.evidence()
    found = delivery(evidence.sent, evidence.written, evidence.window)
    silent = unreported(found.lost, evidence.written, evidence.gaps) if evidence.sent else ()
    wrong = {
        "missing and in no gap": len(silent),
        "doubled": len(found.duplicated),
        "out of order": len(found.disordered),
    }
    fault = ", ".join(f"{count} {what}" for what, count in wrong.items() if count)
    return Outcome(row.name, fault, seconds, missing=len(found.lost) - len(silent) if evidence.sent else 0)


def _until(worker: Worker, says: Says, within: float) -> None:
    worker.until(says.session, within=within, reason=says.reason)


def _publishing(worker: Worker) -> set[int]:
    return {one["conid"] for one in worker.status().get("contracts", []) if one["state"] == "publishing"}
