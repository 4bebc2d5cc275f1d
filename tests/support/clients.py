"""Other people's clients in front of any gateway, each a process of its own with the interpreter that has it.

``url`` is that of the gateway, logged in: the stand-in or IB's own. `make test` installs the clients.
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
# What IB refuses an account like ours, or one without orders, with; and orders, which the venue does not take.
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
    """Of one call. ``said``: ``passes``, ``refused: …`` by an answer that the client took for one, or a fault."""

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
    """Run ``tests/clients/<script>.py`` to its end; what each call came to. ``job`` is what the script asks for."""
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
    """A line for each call that came to something else than it should."""
    return [f"{o.client} {o.group} {o.call}: {o.said}" for o in outcomes if not o.expected]


def table(outcomes: list[Outcome]) -> list[str]:
    """Rows as `docs/simulator.md` has them: client, group, calls, how many pass, how many are refused with what."""
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
    """What `docs/simulator.md` says of a client."""
    page = (ROOT / "docs" / "simulator.md").read_text().splitlines()
    return [row for row in page if row.startswith(f"| {client} | ")]
