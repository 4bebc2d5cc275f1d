"""A nightly login into a page that refuses everybody would lose a session that is well."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from ibfeed_api.feed import Accounts, Kafka, SecretRef, WorkerSpec
from ibfeed_api.logins import PageTrouble
from ibfeed_api.shard import Account
from ibfeed_worker.account_session import AccountSession, SessionParts
from support.build import worker_config
from support.clock import run

ACCOUNTS = Accounts(secret_ref=SecretRef(name="paper"))
NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)


def test_a_nightly_login_waits_for_the_page_as_long_as_it_can() -> None:
    async def act() -> None:
        nothing: Any = None
        logins = SimpleNamespace(pool=SimpleNamespace(trouble=None))
        parts = SimpleNamespace(
            config=worker_config(WorkerSpec(accounts=ACCOUNTS, kafka=Kafka(bootstrap_servers="kafka:9092"))),
            logins=logins,
        )
        session = AccountSession(
            cast("SessionParts", parts), nothing, Account(source="paper", index=1, lease="l"), nothing
        )
        usual = session._appointment()
        logins.pool.trouble = PageTrouble(reason="SecondFactorAsked", text="", since=NOW, accounts={1: NOW, 2: NOW})
        waiting = session._appointment()
        assert usual.due < usual.latest
        assert (waiting.due, waiting.latest) == (usual.latest, usual.latest)
        logins.pool.trouble = None
        assert session._appointment() == usual

    run(act())
