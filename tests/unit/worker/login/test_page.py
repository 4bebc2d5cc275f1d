from __future__ import annotations

import msgspec
import pytest

from ibfeed_api.feed import Login
from ibfeed_worker.account.login_record import COUNTED
from ibfeed_worker.login.page import (
    INTERSTITIALS,
    REASONS,
    Interstitial,
    Order,
    Outcome,
    Result,
    Seen,
    Selectors,
    result_of,
    selectors,
    unanswered,
    without_credentials,
)

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
    result = result_of(seen)
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


def an_order(username: str = "paper1", password: str = "hunter2") -> Order:
    return Order(
        url="https://localhost:5000/",
        spki="x",
        username=username,
        password=password,
        selectors=Selectors(),
        paper=True,
        timeout_s=1,
        chromium="",
        chromedriver="",
        profile="",
    )


def test_an_order_never_shows_its_password() -> None:
    order = an_order()
    assert "hunter2" not in f"{order!r} {order}"
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order).password == "hunter2"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Welcome PAPER1, please read this", "Welcome ***, please read this"),
        ("hunter2 is too short", "*** is too short"),
        ("a.b is no regular expression", "a.b is no regular expression"),
    ],
)
def test_what_a_page_says_is_told_without_credentials(said: str, shown: str) -> None:
    result = Result(outcome=Outcome.REFUSED, text=said)
    assert without_credentials(result, an_order()).text == shown
    assert without_credentials(result, an_order("", "")).text == said, "nothing is replaced by nothing"


def test_a_page_that_is_not_known_is_named_by_its_words() -> None:
    seen = Seen(heading="Market Data Subscriber Agreement", buttons=("I agree", "Decline"))
    found = unanswered(seen, 60)
    assert found.outcome is Outcome.UNKNOWN_PAGE
    assert '"Market Data Subscriber Agreement" [I agree] [Decline]' in found.text


@pytest.mark.parametrize("seen", [Seen(), Seen(form=True, heading="Login", buttons=("Login",))])
def test_a_page_that_shows_nothing_new_has_not_answered(seen: Seen) -> None:
    assert unanswered(seen, 60).outcome is Outcome.TIMED_OUT


@pytest.mark.parametrize("known", INTERSTITIALS)
def test_no_known_page_agrees_to_anything(known: Interstitial) -> None:
    assert not {"agree", "accept", "sign"} & set(f"{known.label} {known.css}".replace(".", " ").split())
