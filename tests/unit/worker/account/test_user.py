from __future__ import annotations

from ibfeed_worker.account.user import digest


def test_one_user_has_one_digest_however_it_is_written() -> None:
    assert digest("jsmith123") == digest(" JSmith123\n")
    assert digest("jsmith123") != digest("jsmith124")


def test_a_digest_does_not_show_the_name() -> None:
    assert len(digest("jsmith123")) == 16
    assert "jsmith" not in digest("jsmith123")
