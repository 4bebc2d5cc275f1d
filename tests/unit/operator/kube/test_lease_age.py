from __future__ import annotations

from ibfeed_operator.kube.lease_age import LeaseObserver

ONE, TWO = ("n", "one"), ("n", "two")


def test_an_age_counts_from_the_last_change_that_was_seen() -> None:
    ages = LeaseObserver()
    assert ages.age(*ONE, "1", 100.0) == 0.0
    assert ages.age(*ONE, "1", 104.0) == 4.0
    assert ages.age(*ONE, "2", 105.0) == 0.0
    assert ages.age(*ONE, "2", 106.0) == 1.0
    ages.forget(*ONE)
    assert ages.age(*ONE, "2", 110.0) == 0.0


def test_after_the_api_server_was_away_all_have_the_whole_time_again() -> None:
    ages = LeaseObserver()
    ages.age(*ONE, "1", 100.0)
    ages.age(*TWO, "1", 100.0)
    ages.lose_contact(103.0)
    ages.lose_contact(160.0)
    assert ages.age(*ONE, "1", 102.0) == 2.0, "what was seen before the silence"
    assert ages.age(*ONE, "1", 163.0) == 0.0
    assert ages.age(*ONE, "1", 172.0) == 9.0
    assert ages.age(*TWO, "1", 172.0) == 9.0
    assert ages.age(*TWO, "2", 173.0) == 0.0
