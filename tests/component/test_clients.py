"""ibind, easyib and ibeam, unmodified, in front of the venue: what docs/simulator.md claims of them is run here.

Between them is the stand-in for the gateway, or the distribution that GATEWAY names (`make test-gateway`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ibfeed_local import acceptance
from support.clients import calls, faults, table, table_on_the_page
from support.cluster import eventually
from support.gateway import Gateway, configured, trusting
from support.login_client import Ibeam
from support.ports import free_port
from support.simulator import FOR_IB, Place, Venue, unpacked

pytestmark = pytest.mark.timeout(300)
GIVEN = bool(os.environ.get("GATEWAY"))
PLACE = FOR_IB if GIVEN else Place()


@pytest.fixture(scope="session")
def gateway_folder(gateway_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(acceptance.archive(), tmp_path_factory.mktemp("given")) if GIVEN else gateway_folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """A venue for ibeam, which asks each second while it waits, as the gateway does: too much, now and then.

    Forms must wait as long as they must by default.
    """
    options = ("--penalty-seconds", "1", "--typing-seconds", "4")
    with Venue(tmp_path_factory.mktemp("venue"), *options, place=PLACE) as started:
        yield started


@pytest.fixture
def hosts(tmp_path: Path) -> Path | None:
    return PLACE.hosts(tmp_path) if GIVEN else None


@pytest.fixture
def gateway(gateway_folder: Path, venue: Venue, tmp_path: Path, hosts: Path | None) -> Iterator[Gateway]:
    with Gateway(gateway_folder, tmp_path, venue.upstream, venue.ca, hosts=hosts) as started:
        yield started.ready().log_in(venue)


def future(gateway: Gateway) -> int:
    found = gateway.http.get("/v1/api/trsrv/futures", params={"symbols": "CL"}).json()
    conid: int = found["CL"][0]["conid"]
    return conid


def stock(gateway: Gateway) -> int:
    found = gateway.http.get("/v1/api/trsrv/stocks", params={"symbols": "AAPL"}).json()
    conid: int = found["AAPL"][0]["contracts"][0]["conid"]
    return conid


def account(gateway: Gateway) -> str:
    found: str = gateway.http.get("/v1/api/iserver/accounts").json()["selectedAccount"]
    return found


def test_ibind_rest(gateway: Gateway) -> None:
    outcomes = calls("ibind REST", "ibind_rest", url=gateway.url, account=account(gateway), future=future(gateway))
    print("\n".join(table(outcomes)))
    assert not faults(outcomes)
    assert table(outcomes) == table_on_the_page("ibind REST")


def test_ibind_websocket(gateway: Gateway) -> None:
    job: dict[str, Any] = {"account": account(gateway), "future": future(gateway), "stock": stock(gateway)}
    outcomes = calls("ibind websocket", "ibind_stream", url=gateway.url, **job)
    print("\n".join(table(outcomes)))
    assert not faults(outcomes)
    assert table(outcomes) == table_on_the_page("ibind websocket")


def test_easyib(gateway: Gateway) -> None:
    outcomes = calls("easyib", "easyib_calls", url=gateway.url, account=account(gateway), future=future(gateway))
    print("\n".join(table(outcomes)))
    assert not faults(outcomes)
    assert table(outcomes) == table_on_the_page("easyib")


StartIbeam = Callable[..., Ibeam]


@pytest.fixture
def ibeam(gateway_folder: Path, venue: Venue, tmp_path: Path, hosts: Path | None) -> Iterator[StartIbeam]:
    """Call it with ibeam's settings. It starts the gateway, and logs in, by itself."""
    port, keys = free_port(), venue.credentials
    distribution = configured(gateway_folder, tmp_path / "gateway", port, venue.upstream)
    trust = trusting(venue.ca, tmp_path)
    with ExitStack() as stack:

        def start(password: str = keys["password-1"], **options: object) -> Ibeam:
            account, url = (keys["username-1"], password), f"https://localhost:{port}"
            return stack.enter_context(Ibeam(distribution, url, tmp_path, account, trust, hosts, **options))

        yield start


def authenticated(venue: Venue) -> bool:
    return any(session["authenticated"] for session in venue.user()["sessions"])


def wait_logged_in(venue: Venue, client: Ibeam) -> None:
    """Each question to ibeam's /readyz is one to IB, and while it logs in ibeam asks IB as often as it may."""
    content = "Gateway running and authenticated"
    before = client.said(content)
    eventually(lambda: authenticated(venue), within=90, what="ibeam has logged in", every=1)
    eventually(lambda: client.said(content) > before, within=20, what="ibeam is content", every=1)
    assert client.asks("/readyz") == 200


@pytest.mark.timeout(700)  # they wait for one another
def test_ibeam_logs_in_and_maintains_the_session(ibeam: StartIbeam, venue: Venue) -> None:
    """The first page says that the mode is wrong, so ibeam switches to paper and sends what is typed already."""
    venue.fault("wrong_mode", count=1)
    before, client = venue.user(), ibeam()
    wait_logged_in(venue, client)
    assert client.said("Switching to paper mode")
    assert (client.asks("/livez"), venue.user()["logins"]) == (200, before["logins"] + 1)
    # The gateway's own tickle, 30 s after the login, would end the login with it.
    venue.fault("expire_brokerage")
    eventually(lambda: authenticated(venue), within=30, what="its maintenance has opened the session again", every=1)
    assert venue.user()["logins"] == before["logins"] + 1
    venue.fault("expire_sso")
    eventually(
        lambda: venue.user()["logins"] == before["logins"] + 2, within=60, what="it has logged in again", every=1
    )
    wait_logged_in(venue, client)
    assert client.asks("/deactivate") == 200
    eventually(lambda: not venue.user()["logged_in"], within=10, what="it has logged out")
    assert venue.user()["logouts"] == before["logouts"] + 1
    assert client.asks("/readyz") == 503
    assert client.asks("/activate") == 200
    eventually(lambda: venue.user()["logins"] == before["logins"] + 3, within=60, what="it is on again", every=1)


@pytest.mark.timeout(700)
def test_ibeam_reads_the_page_s_errors(ibeam: StartIbeam, venue: Venue) -> None:
    before, client = venue.user()["failed_logins"], ibeam("wrong", MAX_FAILED_AUTH=1, USE_PAPER_ACCOUNT=True)
    shown = "Error displayed by the login webpage: Invalid username password combination"
    eventually(lambda: client.said(shown), within=60, what="it has read why", every=1)
    eventually(lambda: client.said("Shutting IBeam down"), within=20, what="it gives up, as it was told", every=1)
    assert venue.user()["failed_logins"] == before + 1
