"""The stand-in gateway as a process before a venue, both over TLS: the quirks that were measured on IB's own gateway.

The client is websocket-client, blocking and simple, as many of those are that were written for the real gateway.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websocket

from support.cluster import eventually
from support.gateway import SELDOM_S, SUCCESS, Gateway
from support.ports import free_port
from support.simulator import Venue, unpacked_gateway


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked_gateway(tmp_path_factory.mktemp("distribution"))


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with Venue(tmp_path_factory.mktemp("venue"), "--penalty-seconds", "1") as running:
        yield running


@pytest.fixture
def gateway(distribution: Path, venue: Venue, tmp_path: Path) -> Iterator[Gateway]:
    venue.clear()
    venue.fault("forgive")
    with Gateway(distribution, tmp_path, venue.upstream, venue.ca) as running:
        yield running.ready()


def frame(socket: websocket.WebSocket) -> dict[str, Any]:
    opcode, data = socket.recv_data()
    assert opcode == websocket.ABNF.OPCODE_BINARY
    found: dict[str, Any] = json.loads(data)
    return found


def until(socket: websocket.WebSocket, topic: str) -> dict[str, Any]:
    while (found := frame(socket)).get("topic") != topic:
        pass
    return found


def front(gateway: Gateway, root: str = "CL") -> int:
    conid: int = gateway.http.get("/v1/api/trsrv/futures", params={"symbols": root}).json()[root][0]["conid"]
    return conid


def test_its_certificate_is_the_one_to_pin(distribution: Path, gateway: Gateway) -> None:
    served = ssl.get_server_certificate(("127.0.0.1", gateway.port))
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(served)).hexdigest()
    assert fingerprint == (distribution / "certificate.sha256").read_text().strip()


def test_it_says_that_it_listens_before_it_does(distribution: Path, venue: Venue, tmp_path: Path) -> None:
    with Gateway(distribution, tmp_path, venue.upstream, venue.ca) as starting:
        assert starting.process.stdout is not None
        assert starting.process.stdout.readline().startswith("Open https://localhost:")
        assert not starting.listens()
        eventually(starting.listens, within=10, what="it listens")


def test_a_login_over_a_session_that_died_competes_until_the_gateway_takes_it(
    distribution: Path, gateway: Gateway, venue: Venue, tmp_path: Path
) -> None:
    gateway.log_in(venue, 2)
    gateway.process.kill()
    (tmp_path / "second").mkdir()
    with Gateway(distribution, tmp_path / "second", venue.upstream, venue.ca, authDelay=2000) as second:
        keys = venue.credentials
        second.ready().submit(keys["username-2"], keys["password-2"])
        status = second.status()
        assert (status["authenticated"], status["connected"], status["competing"]) == (False, True, True)
        competed = "its own ssodh/init has competed"
        eventually(lambda: second.status()["authenticated"], within=10, what=competed, every=SELDOM_S)
        assert second.status()["competing"] is False


def test_the_front_door_leads_to_the_login_page(gateway: Gateway) -> None:
    answer = gateway.http.get("/")
    assert answer.headers["Location"] == "/sso/Login?forwardTo=22&RL=1&ip2loc=US"
    page = gateway.http.get(answer.headers["Location"])
    assert 'name="username"' in page.text
    assert gateway.http.post("/v1/api/tickle").status_code == 401


def test_any_other_path_leads_to_the_upstream(gateway: Gateway, venue: Venue) -> None:
    for path in ("/nothing", "/demo/index.html", "/v1/api", "/v1/other/tickle", "/sso"):
        answer = gateway.http.get(path)
        assert (answer.status_code, answer.headers["Location"], answer.text) == (302, venue.upstream + path, "")
    assert gateway.http.get("/v1/api/").status_code == 404


def test_a_path_goes_on_as_the_client_wrote_it(gateway: Gateway, venue: Venue) -> None:
    gateway.log_in(venue)
    assert gateway.http.get("/v1/api/fyi/disclaimer/B%20A").json()["FC"] == "B A"


def test_the_upstream_s_headers_reach_the_client(gateway: Gateway, venue: Venue) -> None:
    login = gateway.submit(venue.credentials["username-1"], venue.credentials["password-1"])
    assert login.headers["Location"] == "/sso/Dispatcher?forwardTo=22"
    assert [cookie.partition("=")[0] for cookie in login.headers.get_list("Set-Cookie")][:2] == ["XYZAB", "USERID"]
    assert (login.status_code, login.text, "Content-Type" in login.headers) == (200, SUCCESS, False)
    tickle = gateway.http.post("/v1/api/tickle")
    assert "x-sess-uuid" in tickle.headers["Set-Cookie"]
    refusal = gateway.http.patch("/v1/api/tickle")
    assert (refusal.status_code, "POST" in refusal.headers["Allow"]) == (405, True)
    for answer in (login, tickle, refusal):
        assert (answer.headers["Transfer-Encoding"], "Content-Length" in answer.headers) == ("chunked", False)


def test_a_client_that_closes_hears_no_close(gateway: Gateway, venue: Venue) -> None:
    socket = gateway.log_in(venue).stream()
    until(socket, "sts")
    socket.send_close()
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        until(socket, "nothing that there is")


def test_only_a_redirect_of_the_dispatcher_is_a_login(gateway: Gateway, venue: Venue) -> None:
    answer = gateway.submit("paper1", "wrong")
    assert answer.status_code == 200
    assert SUCCESS not in answer.text
    time.sleep(1)
    assert gateway.http.post("/v1/api/tickle").status_code == 401
    venue.fault("unlock")


def test_it_opens_the_brokerage_session_by_itself_and_streams_binary(gateway: Gateway, venue: Venue) -> None:
    gateway.log_in(venue)
    conid = front(gateway)
    socket = gateway.stream()
    assert [frame(socket)["topic"] for _ in range(3)] == ["system", "act", "sts"]
    socket.send(f'smd+{conid}+{{"fields":["31","84","86"]}}')
    first = until(socket, f"smd+{conid}")
    assert first["_updated"] < until(socket, f"smd+{conid}")["_updated"]
    socket.ping("still there?")
    socket.send("tic")
    assert until(socket, "tic")["alive"] is True


def test_the_client_s_own_cookies_go_no_further(gateway: Gateway, venue: Venue) -> None:
    headers = {"Cookie": "XYZAB=stolen"}
    gateway.log_in(venue)
    assert gateway.http.post("/v1/api/tickle", json={}, headers=headers).status_code == 200


def test_with_a_dead_session_the_websocket_opens_and_waits(gateway: Gateway) -> None:
    assert frame(gateway.stream()) == {"message": "waiting for session"}


def test_an_upstream_close_is_1000(gateway: Gateway, venue: Venue) -> None:
    socket = gateway.log_in(venue).stream()
    until(socket, "sts")
    venue.fault("drop_websocket", username="paper1")
    opcode, data = socket.recv_data()
    assert (opcode, int.from_bytes(data[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1000)


def test_a_fragmented_message_comes_in_pieces(gateway: Gateway, venue: Venue) -> None:
    gateway.log_in(venue)
    venue.fault("fragmented", username="paper1", value=20)
    socket = gateway.stream()
    pieces: list[bytes] = []
    while True:
        opcode, data = socket.recv_data()
        assert opcode == websocket.ABNF.OPCODE_BINARY
        pieces.append(data)
        try:
            whole = json.loads(b"".join(pieces))
        except ValueError:
            continue
        break
    assert len(pieces) > 1
    assert whole["topic"] == "system"


def test_text_is_recoded_and_may_be_no_utf_8(gateway: Gateway, venue: Venue) -> None:
    socket = gateway.log_in(venue).stream()
    until(socket, "sts")
    venue.fault("non_utf8_frame", username="paper1")
    _, data = socket.recv_data()
    with pytest.raises(UnicodeDecodeError):
        data.decode("utf-8")
    assert "café" in data.decode("latin-1")


@pytest.mark.parametrize(("size", "passes"), [(60_000, True), (70_000, False)])
def test_big_frames_close_the_socket(gateway: Gateway, venue: Venue, size: int, passes: bool) -> None:
    socket = gateway.log_in(venue).stream()
    until(socket, "sts")
    venue.fault("big_frame", username="paper1", value=size)
    opcode, _ = socket.recv_data()
    assert (opcode == websocket.ABNF.OPCODE_BINARY) is passes


def test_a_hung_upstream_is_silence_that_ends(gateway: Gateway, venue: Venue) -> None:
    gateway.log_in(venue)
    venue.fault("hang", username="paper1")
    with pytest.raises(httpx.ReadTimeout):
        gateway.http.post("/v1/api/tickle", json={}, timeout=1)
    socket = gateway.stream()
    socket.settimeout(0.5)
    with pytest.raises(websocket.WebSocketTimeoutException):
        socket.recv_data()
    venue.clear()
    assert gateway.http.post("/v1/api/tickle", json={}).status_code == 200


def test_what_is_sent_before_the_upstream_is_open_is_lost(gateway: Gateway, venue: Venue) -> None:
    conid = front(gateway.log_in(venue))
    venue.fault("hang", username="paper1")
    socket = gateway.stream()
    socket.send(f'smd+{conid}+{{"fields":["31","84","85","86","88"]}}')
    socket.ping("heard?")
    assert socket.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG
    venue.clear()
    until(socket, "sts")
    socket.settimeout(1.5)
    with pytest.raises(websocket.WebSocketTimeoutException):
        until(socket, f"smd+{conid}")


def test_without_an_upstream_rest_is_silent_and_the_websocket_opens(
    distribution: Path, venue: Venue, tmp_path: Path
) -> None:
    with Gateway(distribution, tmp_path, f"https://localhost:{free_port()}", venue.ca) as lonely:
        lonely.ready()
        with pytest.raises(httpx.ReadTimeout):
            lonely.http.post("/v1/api/tickle", json={}, timeout=1)
        socket = lonely.stream()
        socket.settimeout(0.5)
        with pytest.raises(websocket.WebSocketTimeoutException):
            socket.recv_data()


def test_an_upstream_that_it_can_t_trust_is_as_good_as_none(distribution: Path, venue: Venue, tmp_path: Path) -> None:
    with Gateway(distribution, tmp_path, venue.upstream, None) as wary:
        wary.ready()
        with pytest.raises(httpx.ReadTimeout):
            wary.http.get("/sso/Login", timeout=1)


def test_it_answers_reauthenticate_itself_and_competes(gateway: Gateway, venue: Venue) -> None:
    gateway.log_in(venue)
    venue.fault("compete", username="paper1")
    assert gateway.status()["competing"] is True
    assert gateway.http.post("/v1/api/iserver/reauthenticate").content == b'{"message":"triggered"}'
    eventually(
        lambda: gateway.status().get("authenticated"), within=8, what="the session is taken back", every=SELDOM_S
    )


def test_without_a_login_there_is_nothing_to_reauthenticate(gateway: Gateway) -> None:
    answer = gateway.http.post("/v1/api/iserver/reauthenticate")
    assert (answer.status_code, answer.content) == (200, b'{"error":"not logged in"}')


def test_after_a_logout_reauthenticate_is_answered_as_before(gateway: Gateway, venue: Venue) -> None:
    gateway.log_in(venue)
    assert gateway.http.post("/v1/api/logout").status_code == 200
    assert gateway.http.post("/v1/api/iserver/reauthenticate").content == b'{"message":"triggered"}'


def test_a_second_user_s_login_replaces_the_cookies(gateway: Gateway, venue: Venue) -> None:
    gateway.log_in(venue, 1)
    gateway.log_in(venue, 2)
    assert gateway.http.get("/v1/api/iserver/accounts").json()["selectedAccount"] == "DU1000002"
    assert venue.user(1)["logged_in"]


def test_logout_closes_everything(gateway: Gateway, venue: Venue) -> None:
    before = venue.user(3)["logouts"]
    socket = gateway.log_in(venue, 3).stream()
    until(socket, "sts")
    assert gateway.http.post("/v1/api/logout").content == b'{"status":true}'
    assert socket.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE
    assert gateway.http.post("/v1/api/tickle").status_code == 401
    assert venue.user(3)["logouts"] == before + 1


def test_the_venue_can_kill_it(gateway: Gateway, venue: Venue) -> None:
    socket = gateway.log_in(venue).stream()
    until(socket, "sts")
    venue.fault("kill_gateway", username="paper1", count=1)
    assert gateway.process.wait(5) == 137


def test_strangers_are_denied(distribution: Path, venue: Venue, tmp_path: Path) -> None:
    with Gateway(distribution, tmp_path, venue.upstream, venue.ca, ips={"allow": ["10.*"]}) as closed:
        answer = closed.ready().http.get("/")
        assert (answer.status_code, answer.text) == (403, "Access Denied")


def test_an_unknown_key_stops_it(distribution: Path, venue: Venue, tmp_path: Path) -> None:
    with Gateway(distribution, tmp_path, venue.upstream, venue.ca, tickleDelay=1) as broken:
        assert broken.process.wait(10) == 1
        assert broken.process.stdout is not None
        assert "tickleDelay" in broken.process.stdout.read()


@pytest.mark.timeout(90)
def test_it_logs_out_by_itself_when_a_tickle_finds_the_session_taken(gateway: Gateway, venue: Venue) -> None:
    gateway.log_in(venue, 4)
    venue.fault("compete", username="paper4")
    assert gateway.status()["connected"] is True
    eventually(lambda: not venue.user(4)["logged_in"], within=35, what="the gateway's own tickle ends the session")
    assert gateway.http.post("/v1/api/tickle").status_code == 401
