"""Accounts as their Leases tell of them, whatever people wrote there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ibfeed.cluster.accounts import Account, Accounts, AccountState, accounts_of
from ibfeed.cluster.objects import Feed, Lease, Shard, read
from ibfeed_api.logins import History, PageTrouble, Said, written
from support.desk import API, CONTRACTS, LEASES, NOW, Desk, worker


def accounts(desk: Desk) -> Accounts:
    shards = [read(Shard, one) for path, one in desk.objects.items() if "/ibshards/" in path]
    leases = [read(Lease, one) for path, one in desk.objects.items() if path.startswith(LEASES)]
    return accounts_of(read(Feed, desk.objects[f"{API}/ibfeeds/energy"]), shards, leases, NOW)


def desk() -> Desk:
    made = Desk()
    made.feed(worker(0, *CONTRACTS[:2]), worker(1, *CONTRACTS[2:]))
    return made


def state(desk: Desk, index: int) -> Account:
    found = accounts(desk).find(index)
    assert found is not None
    return found


def test_account_is_in_use_or_free() -> None:
    made = desk()
    made.lease("ib-account-paper-1", holder="energy-0_uid-1")
    made.lease("ib-account-paper-2")
    found = accounts(made)
    assert [(one.index, one.state, one.worker) for one in found.accounts] == [
        (1, AccountState.IN_USE, "energy-0"),
        (2, AccountState.FREE, "energy-1"),
        (3, AccountState.FREE, ""),
    ]
    assert not found.bad


def test_parked_account_has_reason_words_and_next_try() -> None:
    made, again = desk(), NOW + timedelta(hours=2)
    said = (Said(at=NOW, text="Invalid username password combination"),)
    history = History(reason="WrongCredentials", said=said, parked_since=NOW, try_again_at=again)
    made.lease("ib-account-paper-1", parked="WrongCredentials", failed_logins="3", history=written(history))
    found = state(made, 1)
    assert found.state is AccountState.PARKED
    assert (found.reason, found.failed, found.said) == ("WrongCredentials", 3, (said[0].text,))
    assert (found.since, found.next_try) == (NOW, again)
    assert accounts(made).bad


def test_account_that_waits_for_its_next_login_says_why() -> None:
    made, later = desk(), (NOW + timedelta(minutes=5)).isoformat()
    made.lease("ib-account-paper-1", failed_logins="1", last_failure="ERROR", next_login=later)
    made.lease("ib-account-paper-2", lost_to_others="2", next_login=later)
    assert (state(made, 1).state, state(made, 1).said) == (AccountState.REFUSED, ("ERROR",))
    assert state(made, 2).state is AccountState.YIELDING


def test_past_waits_and_nonsense_count_for_nothing() -> None:
    made, past = desk(), (NOW - timedelta(minutes=5)).isoformat()
    made.lease("ib-account-paper-1", failed_logins="1", next_login=past)
    made.lease("ib-account-paper-2", failed_logins="many", next_login="soon", history="{", lost_to_others="-1")
    made.lease("ib-account-paper-logins", penalties='{"n": 5, "m": "x"}', page_trouble="[1, {}]")
    found = accounts(made)
    assert [one.state for one in found.accounts] == [AccountState.FREE] * 3
    assert (found.penalties, found.page_troubles, found.bad) == ((), (), False)


def test_penalties_and_page_trouble_are_those_of_the_logins_lease() -> None:
    made, until = desk(), NOW + timedelta(minutes=9)
    met = {1: NOW, 2: NOW}
    troubles = (
        PageTrouble(reason="LoginTimeout", text="no answer", since=NOW, accounts=met),
        PageTrouble(reason="LoginFailed", text="one alone", since=NOW, accounts={1: NOW}),
        PageTrouble(reason="LoginFailed", text="over", since=NOW, accounts=met, ended=NOW),
    )
    penalties = f'{{"198.51.100.7": "{until.isoformat()}", "past": "{datetime(2026, 1, 1, tzinfo=UTC).isoformat()}"}}'
    made.lease("ib-account-paper-logins", penalties=penalties, page_trouble=written(troubles))
    found = accounts(made)
    assert [(one.address, one.until) for one in found.penalties] == [("198.51.100.7", until)]
    assert [(one.text, one.accounts) for one in found.page_troubles] == [("no answer", (1, 2))]
    assert found.logins_lease == "ib-account-paper-logins"
