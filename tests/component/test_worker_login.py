"""Logins as a real browser sees them, and what a worker makes of those that fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ibfeed_api.feed import Kafka, Login
from ibfeed_worker import login
from ibfeed_worker.gateway.pin import PinnedTls
from ibfeed_worker.gateway.process import Gateway, GatewaySettings, start
from ibfeed_worker.login.page import Outcome, Result
from support.cluster import eventually, kubectl
from support.ports import free_port
from support.quick_forms import SUBMIT_WAIT_S
from support.simulator import Venue, environment
from support.worker import Stage

BROWSER = login.Browser(Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver"))


@pytest.fixture
async def gateway(
    venue: Venue, gateway_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Gateway]:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])  # the login is a process of its own
    settings = GatewaySettings(
        folder=gateway_folder,
        run_folder=tmp_path,
        port=free_port(),
        upstream=venue.upstream,
        extra_ca=venue.ca,
        certificate=None,
    )
    gateway = await start(settings)
    yield gateway
    await gateway.stop()


async def granted() -> None:
    pass


async def attempt(
    gateway: Gateway,
    venue: Venue,
    *,
    paper: bool = True,
    submit_wait_s: float = SUBMIT_WAIT_S,
    may_submit: Callable[[], Awaitable[None]] = granted,
    **settings: object,
) -> Result:
    return await login.log_in(
        BROWSER,
        folder=Path(tempfile.gettempdir()),
        url=gateway.login_url,
        spki=gateway.tls.spki,
        username=venue.credentials["username-1"],
        password=venue.credentials["password-1"],
        login=msgspec.convert({"timeoutSeconds": 20, **settings}, Login),
        paper=paper,
        submit_wait_s=submit_wait_s,
        may_submit=may_submit,
    )


# One login each, in the browser.


@pytest.mark.parametrize("page", ["page_version_1", "page_version_2"])
async def test_both_versions_of_the_page(gateway: Gateway, venue: Venue, page: str) -> None:
    venue.fault(page)
    result = await attempt(gateway, venue)
    assert (result.outcome, result.text) == (Outcome.SUCCEEDED, "")
    assert venue.user()["logged_in"]
    assert result.seconds > 0


@pytest.mark.parametrize("page", ["page_version_1", "page_version_2"])
@pytest.mark.parametrize(
    ("fault", "outcome", "says"),
    [
        ("wrong_password", Outcome.WRONG_CREDENTIALS, "Invalid username password combination"),
        ("locked", Outcome.LOCKED, "locked"),
        ("second_factor", Outcome.SECOND_FACTOR, "second factor"),
    ],
)
async def test_refusals(gateway: Gateway, venue: Venue, page: str, fault: str, outcome: Outcome, says: str) -> None:
    venue.fault(page)
    venue.fault(fault)
    result = await attempt(gateway, venue)
    assert result.outcome is outcome
    assert says in result.text


@pytest.mark.parametrize("page", ["page_version_1", "page_version_2"])
async def test_a_form_sent_too_soon_is_refused(gateway: Gateway, venue: Venue, page: str) -> None:
    """IB answers so; the text is that of a wrong password, and only waiting helps."""
    venue.fault(page)
    result = await attempt(gateway, venue, submit_wait_s=0.0)
    assert (result.outcome, result.text) == (Outcome.WRONG_CREDENTIALS, "Invalid username password combination")
    assert (await attempt(gateway, venue)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("said", ["ERROR", "The system is undergoing maintenance"])
async def test_a_text_that_is_not_known_says_nothing(gateway: Gateway, venue: Venue, said: str) -> None:
    venue.fault("refused", value=said)
    result = await attempt(gateway, venue)
    assert (result.outcome, result.text) == (Outcome.REFUSED, said)


@pytest.mark.parametrize("page", ["ibkey_promo", "notice"])
async def test_a_known_page_in_between_is_passed(gateway: Gateway, venue: Venue, page: str) -> None:
    venue.fault(page, count=1)
    result = await attempt(gateway, venue)
    assert (result.outcome, result.text) == (Outcome.SUCCEEDED, "")
    assert venue.user()["logged_in"]


async def test_a_page_in_between_that_stays_is_named(gateway: Gateway, venue: Venue) -> None:
    venue.fault("ibkey_promo")
    result = await attempt(gateway, venue, timeoutSeconds=60)
    assert result.outcome is Outcome.UNKNOWN_PAGE
    assert result.text.startswith("the IB Key advertisement came again after it was passed 2 times")
    assert result.seconds < 60, "the limit is not waited for"


async def test_an_agreement_is_not_signed_but_named(gateway: Gateway, venue: Venue) -> None:
    venue.fault("agreement", count=1)
    result = await attempt(gateway, venue)
    assert result.outcome is Outcome.UNKNOWN_PAGE
    assert '"Market Data Subscriber Agreement" [I agree and sign] [Decline]' in result.text
    assert not venue.user()["logged_in"]


@pytest.mark.parametrize("page", ["page_version_1", "page_version_2"])
async def test_a_banner_over_the_button_stops_nothing(gateway: Gateway, venue: Venue, page: str) -> None:
    venue.fault(page)
    venue.fault("banner")
    result = await attempt(gateway, venue)
    assert (result.outcome, result.text) == (Outcome.SUCCEEDED, "")


async def test_without_leave_the_form_is_not_sent(gateway: Gateway, venue: Venue) -> None:
    async def refuse() -> None:
        await asyncio.sleep(2)
        raise RuntimeError("the account is lost")

    before = venue.user()
    with pytest.raises(RuntimeError, match="the account is lost"):
        await attempt(gateway, venue, may_submit=refuse)
    assert venue.user() == before


@pytest.mark.parametrize("page", ["page_version_1", "page_version_2"])
async def test_the_page_is_switched_to_paper_trading(gateway: Gateway, venue: Venue, page: str) -> None:
    venue.fault(page)
    venue.fault("wrong_mode")  # the page begins in live mode, and minds
    refused = await attempt(gateway, venue, paper=False)
    assert refused.outcome is Outcome.WRONG_MODE
    assert "Please select the correct Login mode" in refused.text
    assert (await attempt(gateway, venue)).outcome is Outcome.SUCCEEDED


async def test_a_changed_page_names_the_selector_that_found_nothing(gateway: Gateway, venue: Venue) -> None:
    venue.fault("page_changed")
    result = await attempt(gateway, venue)
    assert result.outcome is Outcome.PAGE_CHANGED
    assert "user name field ([name='user_name']" in result.text


async def test_selectors_of_the_spec_fill_in_a_changed_page(gateway: Gateway, venue: Venue) -> None:
    venue.fault("page_changed")
    found: dict[str, Any] = {"username": "#login-id", "password": "#login-secret", "submit": ".sign-in-button"}
    assert (await attempt(gateway, venue, **found)).outcome is Outcome.SUCCEEDED
    assert venue.user()["logged_in"]


async def test_a_slow_page_is_waited_for(gateway: Gateway, venue: Venue) -> None:
    venue.fault("page_slow", value=5)
    result = await attempt(gateway, venue, timeoutSeconds=60)
    assert (result.outcome, result.seconds > 5) == (Outcome.SUCCEEDED, True)


async def test_maintenance_is_no_changed_page(gateway: Gateway, venue: Venue) -> None:
    venue.fault("maintenance")
    result = await attempt(gateway, venue)
    assert (result.outcome, result.text) == (Outcome.PAGE_UNREACHABLE, "the login page answered HTTP 503")


async def test_a_hung_upstream_is_given_up_in_time(gateway: Gateway, venue: Venue) -> None:
    venue.fault("hang")
    result = await attempt(gateway, venue, timeoutSeconds=5)
    assert result.outcome is Outcome.PAGE_UNREACHABLE
    # The login's 5 s, what a busy machine needs to start and end a browser, and to end one that hangs over the page.
    assert result.seconds < 35


async def test_chromium_refuses_a_gateway_that_is_not_the_pinned_one(gateway: Gateway, venue: Venue) -> None:
    gateway.tls = PinnedTls(gateway.tls.context, spki="A" * 43 + "=")
    result = await attempt(gateway, venue)
    assert result.outcome is Outcome.PAGE_UNREACHABLE
    assert "Privacy error" in result.text


# Whole workers.


def test_a_wrong_password_is_counted_on_the_lease_and_waited_for(stage: Stage) -> None:
    stage.venue.fault("wrong_password")
    with stage.worker() as worker:
        status = worker.until("BackingOff", reason="WrongCredentials")
        assert "Invalid username password combination" in status["message"]
        assert "next try at" in status["message"]
        annotations = stage.lease()["metadata"]["annotations"]
        assert annotations["ibfeed.dev/failed-logins"] == "1"
        assert annotations["ibfeed.dev/last-failure"] == "Invalid username password combination"
        assert "ibfeed.dev/next-login" in annotations
        # The count outlives the process, and so does the waiting.
        worker.kill()
        failed = stage.venue.user()["failed_logins"]
        worker.start()
        eventually(lambda: worker.status().get("startedAt") != status["startedAt"], within=10, what="a new process")
        worker.until("BackingOff", reason="LoginFailed")
        assert stage.venue.user()["failed_logins"] == failed
        # With the right password the record is gone.
        stage.venue.clear()
        worker.until("Streaming", within=60)
        assert not [
            key for key in stage.lease()["metadata"].get("annotations", {}) if "login" in key or "failure" in key
        ]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("second_factor", "SecondFactorAsked"), ("not_paper", "NotPaper"), ("locked", "AccountLocked")],
)
def test_what_only_a_person_can_help_parks_the_account(stage: Stage, fault: str, reason: str) -> None:
    stage.venue.fault(fault)
    with stage.worker() as worker:
        worker.until("Parked", reason=reason)
        lease = stage.lease()
        assert lease["metadata"]["annotations"]["ibfeed.dev/parked"] == reason
        eventually(lambda: stage.lease()["spec"]["holderIdentity"] == "", within=10, what="the account is let go")
        eventually(lambda: not stage.venue.user()["logged_in"], within=20, what="logged out")
        stage.venue.clear()
        kubectl(*("annotate", "lease", stage.lease_name(1), "-n", stage.namespace, "ibfeed.dev/parked-", "--overwrite"))
        kubectl(*("annotate", "lease", stage.lease_name(1), "-n", stage.namespace, "ibfeed.dev/failed-logins-"))
        worker.until("Streaming", within=40)


def test_the_wrong_mode_parks_the_account(stage: Stage) -> None:
    """With allowLive the page is left in live mode, and this user is a paper user."""
    stage.venue.fault("wrong_mode")
    with stage.worker(accounts={"allow_live": True}) as worker:
        status = worker.until("Parked", reason="WrongMode", within=45)
        assert "Please select the correct Login mode" in status["message"]


@pytest.mark.parametrize(
    ("fault", "reason"), [("page_changed", "LoginPageChanged"), ("page_slow", "UpstreamUnreachable")]
)
def test_a_page_that_cannot_be_filled_in_is_named_and_counts_as_no_failed_login(
    stage: Stage, fault: str, reason: str
) -> None:
    failed = stage.venue.user()["failed_logins"]
    stage.venue.fault(fault, **({"value": 120} if fault == "page_slow" else {}))
    with stage.worker(login=Login(timeout_seconds=20)) as worker:
        worker.until("BackingOff", reason=reason, within=90)
        assert "ibfeed.dev/failed-logins" not in stage.lease()["metadata"].get("annotations", {})
        assert stage.venue.user()["failed_logins"] == failed


def test_a_missing_secret_is_named_and_its_creation_noticed(stage: Stage) -> None:
    kubectl("delete", "secret", "paper", "-n", stage.namespace)
    with stage.worker() as worker:
        status = worker.until("BackingOff", reason="CredentialsMissing")
        assert f"Secret {stage.namespace}/paper does not exist" in status["message"]
        stage.secret(stage.venue.credentials)
        worker.until("Streaming", within=60)


def test_a_parked_account_whose_secret_is_corrected_is_tried(stage: Stage) -> None:
    first = stage.venue.credentials["username-1"]
    stage.venue.fault("wrong_password", username=first)
    with stage.worker(accounts={"max_failed_logins": 1}) as worker:
        status = worker.until("Parked", reason="WrongCredentials")
        assert 'after IB said "Invalid username password combination"' in status["message"]
        history = json.loads(stage.lease()["metadata"]["annotations"]["ibfeed.dev/history"])
        assert history["tryAgainAt"] > history["parkedSince"]
        assert history["submitWaitS"] > SUBMIT_WAIT_S, "the next form waits longer"
        before = stage.lease()["metadata"]["annotations"]["ibfeed.dev/user"]
        credentials = dict(stage.venue.credentials)
        credentials["username-1"], credentials["password-1"] = credentials["username-2"], credentials["password-2"]
        stage.secret(credentials)
        worker.until("Streaming", within=60)
        annotations = stage.lease()["metadata"]["annotations"]
        assert "ibfeed.dev/parked" not in annotations
        assert annotations["ibfeed.dev/user"] != before, "it is another user now"
        assert stage.venue.user(1)["failed_logins"] > 0
        assert stage.venue.user(2)["logged_in"]


@pytest.mark.parametrize(
    ("fault", "reason", "says"),
    [
        ({"name": "refused", "value": "System maintenance"}, "LoginFailed", "System maintenance"),
        ({"name": "agreement"}, "LoginPageUnknown", "Market Data Subscriber Agreement"),
    ],
)
def test_what_is_no_evidence_is_waited_for(stage: Stage, fault: dict[str, str], reason: str, says: str) -> None:
    stage.venue.fault(**fault)
    with stage.worker(accounts={"max_failed_logins": 1}, login=Login(timeout_seconds=20)) as worker:
        status = worker.until("BackingOff", reason=reason, within=90)
        assert says in status["message"]
        assert "next try at" in status["message"]
        annotations = stage.lease()["metadata"]["annotations"]
        assert not {"ibfeed.dev/parked", "ibfeed.dev/failed-logins"} & annotations.keys()


def test_a_user_that_another_worker_uses_is_left_alone(stage: Stage) -> None:
    logins = stage.venue.user()["logins"]
    with stage.worker() as worker:
        worker.give(1, used_by="desk-b/rates-0")
        status = worker.until("WaitingForAccount", reason="AccountHeldElsewhere")
        assert "the user of account 1 is in use by worker desk-b/rates-0" in status["message"]
        worker.give(1, used_by="desk-b/rates-1")
        eventually(lambda: "rates-1" in worker.status()["message"], within=15, what="it says who")
        assert stage.venue.user()["logins"] == logins
        worker.give(1)
        worker.until("Streaming", within=60)


def test_a_page_that_fails_for_all_is_told_from_an_account(stage: Stage) -> None:
    """Two accounts meet it, the third waits; and whoever ends it by hand has all of them try."""
    stage.add_turns()
    stage.venue.fault("second_factor")
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(stage.worker(index + 1, number=index)) for index in range(2)]
        eventually(
            lambda: "LoginPageTrouble" in [worker.status().get("reason") for worker in workers],
            within=90,
            what="the second one says that it is the page",
        )
        # On a slow machine a login takes longer than a slot, and the third would have begun already.
        workers.append(stack.enter_context(stage.worker(3, number=2)))
        workers[2].until("BackingOff", reason="LoginPageTrouble", within=60)
        tried = [index for index in (1, 2, 3) if "tries" in str(stage.lease(index)["metadata"].get("annotations"))]
        assert len(tried) == 2, "no third account was used"
        # The first one was parked before the second met the same: that is the operator's to take back.
        for index in tried:
            kubectl("annotate", "lease", stage.lease_name(index), "-n", stage.namespace, "ibfeed.dev/parked-")
        stage.venue.clear()
        kubectl("annotate", "lease", stage.lease_name("logins"), "-n", stage.namespace, "ibfeed.dev/page-trouble-")
        for worker in workers:
            worker.until("Streaming", within=90)


def test_a_broken_gateway_archive_is_named(stage: Stage, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "bin").mkdir(parents=True)
    (broken / "root").mkdir()
    with stage.worker(gateway_folder=broken) as worker:
        status = worker.until("BackingOff", reason="GatewayBroken")
        assert "the gateway archive has no bin/run.sh" in status["message"]


def test_an_unreachable_kafka_is_named_and_the_session_lives_on(stage: Stage) -> None:
    kafka = Kafka(bootstrap_servers=f"127.0.0.1:{free_port()}", topics=stage.topics)
    with stage.worker(kafka=kafka) as worker:
        worker.until("Streaming")
        found = eventually(lambda: worker.status().get("kafka"), within=15, what="Kafka's status")
        assert not found["reachable"]
        assert kafka.bootstrap_servers in found["message"]
        assert worker.stop() < 25, "what can't be sent must not delay the way out beyond the grace period"


def test_stopped_during_the_login(stage: Stage) -> None:
    stage.venue.fault("page_slow", value=4)
    with stage.worker() as worker:
        worker.until("LoggingIn")
        assert worker.stop() < 10
        assert worker.status()["session"] == "Stopped"
        assert not stage.venue.user()["logged_in"]
        assert stage.lease()["spec"]["holderIdentity"] == ""
