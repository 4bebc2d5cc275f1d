"""When sessions are replaced: over all logins, regions, accounts, and clocks that are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.feed import Region
from ibfeed_api.ib_calendar import reset_window
from ibfeed_worker.session.schedule import (
    LEAD,
    LONGEST,
    MARGIN,
    SPREAD,
    Lifetime,
    appointment,
    place,
)

DAY = timedelta(days=1)
NEW_YORK = ZoneInfo("America/New_York")
logins = st.integers(0, 2 * 365 * 86_400).map(
    lambda second: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
)
regions = st.sampled_from(Region)
accounts = st.integers(0, 5000)


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=NEW_YORK)


@given(logins, regions, accounts)
def test_never_so_late_that_ib_ends_it(login: datetime, region: Region, account: int) -> None:
    found = appointment(Lifetime(login), region, account)
    assert login < found.due <= found.latest <= login + LONGEST - MARGIN


@given(logins, regions, accounts)
def test_never_within_the_reset_window(login: datetime, region: Region, account: int) -> None:
    found = appointment(Lifetime(login), region, account)
    window = reset_window(region, login)
    assert found.due not in window
    assert found.latest not in window
    assert (found.latest <= window.begins) or (found.due >= window.ends), "and nobody waits into it"


@given(logins, regions, accounts)
def test_others_have_time_to_take_over(login: datetime, region: Region, account: int) -> None:
    found = appointment(Lifetime(login), region, account)
    assert found.latest - found.due >= LEAD


@given(logins, regions, st.lists(st.integers(0, 200), min_size=2, max_size=2, unique=True))
def test_two_workers_never_go_together(login: datetime, region: Region, pair: list[int]) -> None:
    one, other = (appointment(Lifetime(login), region, account).due for account in pair)
    assert abs(one - other) > timedelta(seconds=1)


@given(st.integers(0, 1000), st.integers(2, 10))
def test_the_workers_of_a_feed_are_far_apart(first: int, count: int) -> None:
    places = sorted(place(account) for account in range(first, first + count))
    assert min(after - before for before, after in pairwise(places)) > 0.3 / count


@given(logins, regions, accounts)
def test_every_window_is_followed_by_a_login_within_the_spread(login: datetime, region: Region, account: int) -> None:
    """IB asks for one after each midnight. And no night costs more than two."""
    nights: dict[datetime, list[datetime]] = {}
    end = login + 14 * DAY
    while login < end:
        window = reset_window(region, login)
        login = appointment(Lifetime(login), region, account).due
        nights.setdefault(window.ends, []).append(login)
    for ends, found in list(nights.items())[:-1]:
        assert len(found) <= 2
        assert ends <= found[-1] <= ends + SPREAD + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("login", "due"),
    [
        pytest.param(local(20, 15), local(21, 1, 15), id="afternoon: after the next window"),
        pytest.param(local(20, 1), local(20, 1, 15), id="within a window: after it"),
        pytest.param(local(20, 1, 20), local(20, 23, 25), id="just after a window: before the next"),
    ],
)
def test_account_0(login: datetime, due: datetime) -> None:
    assert appointment(Lifetime(login), Region.AMERICA, 0).due == due.astimezone(UTC)


def test_the_window_is_that_of_the_region_also_when_clocks_change() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert reset_window(Region.AMERICA, noon).begins == datetime(2026, 11, 21, 4, 45, tzinfo=UTC)
    assert reset_window(Region.EUROPE, noon).begins == datetime(2026, 11, 20, 22, 45, tzinfo=UTC)
    assert reset_window(Region.ASIA, noon).begins == datetime(2026, 11, 20, 15, 45, tzinfo=UTC)
    back = reset_window(Region.AMERICA, datetime(2026, 10, 31, 12, tzinfo=UTC))  # 1 November has 01:15 twice
    assert (back.begins, back.ends) == (
        datetime(2026, 11, 1, 3, 45, tzinfo=UTC),
        datetime(2026, 11, 1, 5, 15, tzinfo=UTC),
    )


class TestWhatIbSaysOfTheEnd:
    LOGIN = datetime(2026, 11, 20, 20, tzinfo=UTC)

    def told(self, left: timedelta, *, renewed: bool) -> Lifetime:
        """After twenty minutes of tickles, each a minute after the one before."""
        lifetime = Lifetime(self.LOGIN)
        for minute in range(21):
            passed = timedelta() if renewed else timedelta(minutes=minute)
            milliseconds = (left - passed) // timedelta(milliseconds=1)
            lifetime = lifetime.heard(milliseconds, self.LOGIN + timedelta(minutes=minute))
        return lifetime

    def test_an_end_that_comes_nearer_counts(self) -> None:
        lifetime = self.told(timedelta(hours=6), renewed=False)
        assert lifetime.end == self.LOGIN + timedelta(hours=6)
        found = appointment(lifetime, Region.AMERICA, 1)
        assert self.LOGIN + timedelta(hours=5) < found.due < found.latest < lifetime.end

    def test_one_that_each_request_puts_off_does_not(self) -> None:
        lifetime = self.told(timedelta(minutes=8), renewed=True)
        assert lifetime.end is None
        assert appointment(lifetime, Region.AMERICA, 1) == appointment(Lifetime(self.LOGIN), Region.AMERICA, 1)

    def test_nor_one_that_was_not_watched_long_enough(self) -> None:
        assert Lifetime(self.LOGIN).heard(460_311, self.LOGIN).heard(400_311, self.LOGIN).end is None

    @pytest.mark.parametrize("left", [None, -1])
    def test_nor_what_makes_no_sense(self, left: int | None) -> None:
        assert Lifetime(self.LOGIN).heard(left, self.LOGIN) == Lifetime(self.LOGIN)
        assert Lifetime(self.LOGIN).heard(10**30, self.LOGIN).end is None

    @given(logins, regions, accounts, st.integers(0, 24 * 60))
    def test_however_soon_it_comes_no_session_is_replaced_at_once(
        self, login: datetime, region: Region, account: int, left: int
    ) -> None:
        lifetime = Lifetime(login, end=login + timedelta(minutes=left))
        found = appointment(lifetime, region, account)
        assert login + timedelta(minutes=15) <= found.due <= found.latest <= login + LONGEST - MARGIN
