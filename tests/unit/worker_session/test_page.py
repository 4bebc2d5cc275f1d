from __future__ import annotations

import msgspec
import pytest

from ibfeed_api.feed import Login
from ibfeed_worker.account.record import COUNTED
from ibfeed_worker.login.page import REASONS, Order, Outcome, Seen, Selectors, judge, selectors

WRONG_MODE = (
    "You have selected the Live Account Mode, but the specified user is a Paper Trading user. "
    "Please select the correct Login mode."
)


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (Seen(body="Client login succeeds"), Outcome.SUCCEEDED),
        (Seen(body="Client login succeeds", errors=("stale",)), Outcome.SUCCEEDED),
        (Seen(errors=("Invalid username password combination",)), Outcome.WRONG_CREDENTIALS),
        (Seen(errors=(WRONG_MODE,)), Outcome.WRONG_MODE),
        (Seen(errors=("Your account has been locked.",)), Outcome.LOCKED),
        (Seen(errors=("Something new",)), Outcome.REFUSED),
        (Seen(second_factor=True), Outcome.SECOND_FACTOR),
        (Seen(errors=("Invalid username password combination",), second_factor=True), Outcome.WRONG_CREDENTIALS),
        (Seen(body="Loading"), None),
        (Seen(errors=(" ",)), None),
    ],
)
def test_judge(seen: Seen, outcome: Outcome | None) -> None:
    result = judge(seen)
    assert (result.outcome if result else None) is outcome


def test_every_failure_has_a_reason_and_only_evidence_counts() -> None:
    assert set(REASONS) == set(Outcome) - {Outcome.SUCCEEDED}
    counted = {outcome for outcome, reason in REASONS.items() if reason in COUNTED}
    assert counted == {
        Outcome.WRONG_CREDENTIALS,
        Outcome.WRONG_MODE,
        Outcome.LOCKED,
        Outcome.SECOND_FACTOR,
    }


def test_selectors_of_the_spec_replace_the_built_in_ones() -> None:
    chosen = selectors(Login(username="#u", submit=".go"))
    assert (chosen.username, chosen.submit) == ("#u", ".go")
    assert chosen.password == Selectors().password


def test_an_order_never_shows_its_password() -> None:
    order = Order(
        url="https://localhost:5000/",
        spki="x",
        username="paper1",
        password="hunter2",
        selectors=Selectors(),
        paper=True,
        timeout_s=1,
        chromium="",
        chromedriver="",
        profile="",
    )
    assert "hunter2" not in f"{order!r} {order}"
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order).password == "hunter2"
