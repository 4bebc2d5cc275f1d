"""What the client knows of this release by itself is what the product has: CRDs, rights, IB's nights."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from ibfeed.doctor.collect.rights import wanted_of_worker
from ibfeed.doctor.maintenance import maintenance_at
from ibfeed_api.feed import Region
from ibfeed_api.ib_calendar import refuses_all
from ibfeed_operator.resources.permissions import role
from support.build import feed as operators_feed
from support.doctor_facts import feed, shard
from support.release_file import FILE, release_text

MOMENTS = st.integers(1_767_225_600, 1_830_297_600).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))


def test_release_file_is_that_of_the_manifests() -> None:
    assert FILE.read_text() == release_text(), "run: PYTHONPATH=client:tests python tests/support/release_file.py"


@given(st.sampled_from(Region), MOMENTS)
def test_maintenance_is_that_which_workers_go_by(region: Region, now: dt.datetime) -> None:
    ours, theirs = maintenance_at(region, now), refuses_all(region, now)
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert (ours.begins, ours.ends) == (theirs.begins, theirs.ends)


def test_workers_need_no_more_than_their_role_gives() -> None:
    given_role = role(operators_feed(), shards=["energy-0"])
    granted = {
        (group, resource, verb)
        for rule in given_role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    wanted = {(right.group, right.resource, right.verb) for right in wanted_of_worker(feed(), [shard()])}
    assert wanted == granted


def test_of_many_objects_the_first_and_the_last_are_asked_for() -> None:
    shards = [shard(f"energy-{number}", account=number) for number in range(5)]
    names = {right.name for right in wanted_of_worker(feed(), shards) if right.resource == "ibshards"}
    assert names == {"energy-0", "energy-4"}
