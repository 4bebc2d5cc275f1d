"""The edge to ClickHouse: its errors become ours, and no password is shown."""

from __future__ import annotations

import sys

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from ibfeed import MissingExtraError
from ibfeed.clickhouse import Access, ClickHouseRefusedError, ClickHouseUnreachableError, LayoutError, Server
from ibfeed.clickhouse.migration import Step
from support.ports import free_port

SECRET = "correct-horse"
DENIED = (
    "Received ClickHouse exception, code: 497, server response: Code: 497. DB::Exception: team: Not enough privileges."
    " (ACCESS_DENIED) (version 26.7.2.1) (for url http://h:8123)\nmore"
)


class FailingClient:
    """A client of the library whose every call fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = False

    def command(self, _: str) -> None:
        raise self.error

    def close(self) -> None:
        self.closed = True


def failing(error: Exception) -> tuple[Server, FailingClient]:
    server, client = Server(Access("http://h:8123", "team", SECRET)), FailingClient(error)
    server._client = client
    return server, client


@pytest.mark.parametrize(
    "url",
    [
        "h:8123",
        "ftp://h",
        "http://",
        f"http://team:{SECRET}@h:8123",
        f"https://:{SECRET}@h",
        "http://team@h",
        f"http://h?password={SECRET}",
    ],
)
def test_address_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(LayoutError, match="the address of ClickHouse") as caught:
        Access(url)
    assert SECRET not in str(caught.value)


def test_password_is_in_no_repr() -> None:
    assert SECRET not in repr(Access("http://h:8123", "team", SECRET))


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (516, "check the user and the password"),
        (497, "give the user the right"),
        (495, "--roles users.xml"),
        (62, "see what"),
    ],
)
def test_refusal_says_cause_and_remedy(code: int, remedy: str) -> None:
    server, client = failing(DatabaseError(DENIED, code=code))
    with pytest.raises(ClickHouseRefusedError) as caught:
        server.run(Step("SELECT 1"))
    text = str(caught.value)
    assert text.startswith("ClickHouse at http://h:8123 refuses (team: Not enough privileges. (ACCESS_DENIED)): ")
    assert remedy in text
    assert client.closed


@pytest.mark.parametrize("error", [OperationalError("refused"), DatabaseError("Timeout exceeded", code=159)])
def test_what_passes_may_be_tried_again(error: Exception) -> None:
    server, _ = failing(error)
    with pytest.raises(ClickHouseUnreachableError, match="is it up, and the address right"):
        server.run(Step("SELECT 1"))


def test_server_that_is_not_there_is_told() -> None:
    server = Server(Access(f"http://127.0.0.1:{free_port()}", "team", SECRET))
    with pytest.raises(
        ClickHouseUnreachableError, match=r"does not answer as it should \(Connection refused\)"
    ) as caught:
        server.run(Step("SELECT 1"))
    assert SECRET not in str(caught.value)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clickhouse_connect", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ibfeed\[clickhouse\]'"):
        Server(Access("http://h:8123")).run(Step("SELECT 1"))
