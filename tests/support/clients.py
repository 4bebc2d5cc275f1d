"""Other people's clients in front of any gateway. Each is a process with the interpreter of its environment.

``url`` is that of a gateway that is logged in: the stand-in or IB's own. `make test` installs the clients.
"""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ibfeed_local import peers
from ibfeed_local.state import State
from support.cluster import ROOT

PASSES = "passes"
SCRIPTS = ROOT / "tests" / "clients"
# IB's refusals to an account like ours, or one without orders. And orders, which the venue alone refuses.
REFUSED = {
    ("ibind REST", "search_dynamic_account"): "refused: 503",
    ("ibind REST", "set_dynamic_account"): "refused: 401",
    ("ibind REST", "order_status"): "refused: 503",
    ("ibind REST", "place_order"): "refused: error",
    ("ibind REST", "modify_order"): "refused: error",
    ("ibind REST", "fa_model_invest_divest"): "refused: 500",
    ("ibind REST", "fa_model_submit_transfers"): "refused: 500",
    ("easyib", "submit_orders"): "refused: error",
    ("easyib", "modify_order"): "refused: error",
    ("easyib", "reply_yes"): "refused: error",
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of one call. ``said`` is ``passes``, ``refused: …`` if the client read a refusal, or a fault."""

    client: str
    group: str
    call: str
    said: str
    answer: str

    @property
    def expected(self) -> bool:
        return self.said == REFUSED.get((self.client, self.call), PASSES)


def python(environment: str) -> Path:
    found = peers.python(State.from_environment(), environment)
    assert found.exists(), f"{found} is not there: `make test` installs other people's clients"
    return found


def calls(client: str, script: str, within: float = 240, **job: object) -> list[Outcome]:
    """Run ``tests/clients/<script>.py`` to its end; return the outcome of each call. ``job`` is its input."""
    done = subprocess.run(
        [python("clients"), SCRIPTS / f"{script}.py", json.dumps(job)],
        env={"IBIND_LOG_TO_FILE": "False", "IBIND_LOG_TO_CONSOLE": "False", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
    found = [Outcome(client, **json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, f"{script}: {done.stderr[-3000:]}\n{found[-3:]}"
    return found


def faults(outcomes: list[Outcome]) -> list[str]:
    """Return a line for each call with another outcome than it should have."""
    return [f"{o.client} {o.group} {o.call}: {o.said}" for o in outcomes if not o.expected]


def table(outcomes: list[Outcome]) -> list[str]:
    """Return rows as in `docs/simulator.md`: client, group, number of calls, number that pass, refusals with status."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.client, outcome.group].append(outcome)
    rows = []
    for (client, group), members in groups.items():
        others = [o.said.removeprefix("refused: ") for o in members if o.said != PASSES]
        refused = f"{len(others)} ({', '.join(sorted(set(others)))})" if others else "0"
        rows.append(f"| {client} | {group} | {len(members)} | {len(members) - len(others)} | {refused} |")
    return rows


def table_on_the_page(client: str) -> list[str]:
    """Return the rows of a client in `docs/simulator.md`."""
    page = (ROOT / "docs" / "simulator.md").read_text().splitlines()
    return [row for row in page if row.startswith(f"| {client} | ")]
