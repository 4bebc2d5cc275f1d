"""The dictionary that stands in for the API server keeps its rules."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime

import pytest

from datapath.memory_api import MissingError, Object, Objects, OperatorsCluster, StaleError, WorkersKube
from datapath.virtual_time import Clock, Outside
from ibfeed_operator.controller.snapshot import shards_path

PATH = "/apis/x/namespaces/n/things/a"


def made(objects: Objects, **more: object) -> Object:
    return objects.create(PATH, {"kind": "Thing", "metadata": {"name": "a", "labels": {"k": "v"}}, **more})


def test_a_write_that_rests_on_an_old_version_is_refused() -> None:
    objects = Objects()
    version = made(objects)["metadata"]["resourceVersion"]
    objects.patch(PATH, {"metadata": {"resourceVersion": version}, "spec": {"a": 1}})
    with pytest.raises(StaleError):
        objects.patch(PATH, {"metadata": {"resourceVersion": version}, "spec": {"a": 2}})
    assert objects.read(PATH)["spec"] == {"a": 1}


def test_only_a_change_of_the_spec_makes_a_generation() -> None:
    objects = Objects()
    made(objects, spec={"a": 1})
    assert objects.patch(PATH, {"status": {"b": 1}})["metadata"]["generation"] == 1
    assert objects.patch(PATH, {"spec": {"a": 2}})["metadata"]["generation"] == 2


def test_a_merge_patch_merges_removes_and_leaves_what_was_read_alone() -> None:
    objects = Objects()
    before = made(objects, spec={"a": {"x": 1, "y": 2}, "b": 1})
    after = objects.patch(PATH, {"spec": {"a": {"x": None, "z": 3}, "b": [1]}})
    assert after["spec"] == {"a": {"y": 2, "z": 3}, "b": [1]}
    assert before["spec"] == {"a": {"x": 1, "y": 2}, "b": 1}


def test_labels_select() -> None:
    objects = Objects()
    made(objects)
    collection = PATH.rpartition("/")[0]
    assert [len(objects.below(collection, labels)) for labels in ("", "k", "k=v", "k=w", "k=v,l")] == [1, 1, 1, 0, 0]


async def test_fields_select() -> None:
    objects = Objects()
    made(objects, spec={"a": "x"})
    cluster, collection = OperatorsCluster(objects), PATH.rpartition("/")[0]
    found = [
        len(await cluster.list(collection, fields=fields)) for fields in ("", "spec.a=x", "spec.a=y", "spec.b.c=x")
    ]
    assert found == [1, 1, 0, 0]


def test_nothing_is_there_twice_and_what_is_gone_is_missing() -> None:
    objects = Objects()
    made(objects)
    with pytest.raises(StaleError):
        made(objects)
    objects.delete(PATH)
    with pytest.raises(MissingError):
        objects.read(PATH)


def test_the_clock_waits_for_no_watch_that_has_ended() -> None:
    objects, outside = Objects(), Outside(Clock(datetime(2026, 11, 18, tzinfo=UTC)))
    path = f"{shards_path('n')}/energy-0"
    objects.create(path, {"kind": "IbShard", "metadata": {"name": "energy-0"}})
    kube = WorkersKube(objects, outside, "n", {})
    _, version = kube.list_shard("energy-0")
    watch = kube.watch_shard("energy-0", version)
    for number in range(2):
        objects.patch(path, {"spec": {"lines": number}})
    assert isinstance(watch, Generator)
    next(watch)
    assert outside.leeway() == 0.0, "the thread has not told yet"
    watch.close()  # as when the worker stops: its thread follows no longer
    objects.patch(path, {"spec": {"lines": 3}})
    assert outside.leeway() == float("inf")
