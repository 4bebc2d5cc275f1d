"""Who may look: codes, sessions, origins, and from which Kafka."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from ibfeed_api.feed import Kafka, SecretRef
from ibfeed_operator.console import guard
from ibfeed_operator.console.sign_in import CODE_S, MOST, SESSION_S, Reviewed, SignIns
from ibfeed_operator.console.sources import MOST_BACK, begin_at, servers_of, sources_of
from support.build import feed

ALICE, BOB = Reviewed(username="alice", groups=("desk",)), Reviewed(username="bob")


def sign_ins() -> SignIns:
    numbers = count()
    return SignIns(lambda: f"secret-{next(numbers)}")


def test_code_is_good_once_and_for_a_minute() -> None:
    known = sign_ins()
    code = known.admit(ALICE, 0.0)
    assert code is not None
    session = known.redeem(code, 1.0)
    assert session is not None
    assert session != code
    assert known.redeem(code, 2.0) is None
    assert known.user(session, 2.0) == ALICE
    late = known.admit(ALICE, 0.0)
    assert late is not None
    assert known.redeem(late, CODE_S) is None


def test_session_ends_unless_its_token_is_reviewed_again() -> None:
    known = sign_ins()
    code = known.admit(ALICE, 0.0) or ""
    session = known.redeem(code, 0.0) or ""
    assert known.renew(code, ALICE, SESSION_S - 1)
    assert known.user(session, SESSION_S + 1) == ALICE
    assert known.user(session, 2 * SESSION_S) is None
    assert not known.renew(code, ALICE, 2 * SESSION_S)


def test_nobody_else_prolongs_a_session() -> None:
    known = sign_ins()
    code = known.admit(ALICE, 0.0) or ""
    assert not known.renew(code, ALICE, 1.0), "an unused code is no session"
    known.redeem(code, 1.0)
    assert not known.renew(code, BOB, 2.0)


def test_sign_out_ends_the_session_at_once() -> None:
    known = sign_ins()
    session = known.redeem(known.admit(ALICE, 0.0) or "", 0.0) or ""
    known.end(session)
    assert known.user(session, 0.1) is None
    assert known.user("", 0.1) is None


def test_codes_do_not_fill_the_memory() -> None:
    known = sign_ins()
    assert all(known.admit(ALICE, 0.0) for _ in range(MOST))
    assert known.admit(ALICE, 1.0) is None
    assert known.admit(ALICE, CODE_S + 1) is not None


SAME = {"Host": "localhost:8081", "Origin": "http://localhost:8081", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Host": "localhost:8081"}),
        ("GET", {"Host": "127.0.0.1:8081", "Sec-Fetch-Site": "same-origin"}),
        ("GET", {"Host": "[::1]:8081", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}),
        ("POST", SAME),
        ("POST", {**SAME, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json; charset=utf-8"}),
    ],
)
def test_own_page_and_command_line_are_let_in(method: str, headers: dict[str, str]) -> None:
    assert guard.objection(method, headers) == ""


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"Host": "evil.example:8081"}),
        ("GET", {"Host": "localhost.evil.example"}),
        ("GET", {"Host": "[::1"}),
        ("GET", {"Host": "localhost:8081", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}),
        ("GET", {"Host": "localhost:8081", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
        ("POST", {**SAME, "Origin": "http://localhost:3000"}),
        ("POST", {**SAME, "Origin": "null"}),
        ("POST", {**SAME, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}),
        ("POST", {**SAME, "Content-Type": "text/plain"}),
        ("POST", {"Host": "localhost:8081"}),
    ],
)
def test_other_origins_and_names_are_refused(method: str, headers: dict[str, str]) -> None:
    assert guard.objection(method, headers)


def test_page_loads_nothing_from_elsewhere() -> None:
    policy = guard.HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_token_is_taken_from_its_header_alone() -> None:
    assert guard.bearer({"Authorization": "Bearer abc"}) == "abc"
    assert guard.bearer({"Authorization": "Basic abc"}) == ""
    assert guard.bearer({}) == ""


def kafka(**more: Any) -> Kafka:
    return Kafka(bootstrap_servers="kafka:9093", secret_ref=SecretRef(name="k"), **more)


def test_feeds_on_one_kafka_share_a_reader() -> None:
    found = sources_of([feed(), feed()], {})
    assert list(found) == ["kafka.default:9092"]
    assert (found["kafka.default:9092"].ticks, found["kafka.default:9092"].missing) == (frozenset({"ticklast"}), "")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("kafka:9092", "kafka.default:9092"),
        ("a:9092, b.other:9093", "a.default:9092,b.other:9093"),
        ("kafka.kafka.svc:9092,10.0.0.1:9092", "kafka.kafka.svc:9092,10.0.0.1:9092"),
        ("[::1]:9092", "[::1]:9092"),
        ("localhost:9092", "localhost:9092"),
        ("kafka", "kafka"),
    ],
)
def test_short_name_is_a_service_of_the_feeds_namespace(written: str, read: str) -> None:
    assert servers_of(feed(kafka=Kafka(bootstrap_servers=written))) == read


def test_secured_kafka_without_credentials_is_named() -> None:
    (source,) = sources_of([feed(kafka=kafka(security_protocol="SASL_SSL"))], {}).values()
    assert "create the Secret ibfeed-console-kafka" in source.missing
    (source,) = sources_of([feed(kafka=kafka(security_protocol="SASL_SSL"))], {"username": b"console"}).values()
    assert source.missing == "Secret ibfeed-console-kafka lacks password, which SASL_SSL needs"


def test_credentials_become_properties_and_are_never_shown() -> None:
    secured = feed(kafka=kafka(security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512"))
    keys = {"username": b"console", "password": b"hush\n", "ca.crt": b"PEM"}
    (source,) = sources_of([secured], keys).values()
    assert dict(source.properties)["sasl.password"] == "hush"
    assert dict(source.properties)["ssl.ca.pem"] == "PEM"
    assert "hush" not in repr(source)


def test_reading_begins_where_the_time_says_but_not_too_far_back() -> None:
    assert begin_at(-1, 500, 12) == 500
    assert begin_at(400, 500, 12) == 400
    assert begin_at(0, 1_000_000, 10) == 1_000_000 - MOST_BACK // 10
