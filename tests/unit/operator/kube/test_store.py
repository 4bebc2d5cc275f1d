"""The copy of a collection is what the server had at its position, and on top what this process wrote since."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ibfeed_operator.kube.store import Change, Key, Store

KEYS = [("n", name) for name in "abc"]


@dataclass
class Server:
    """Each write with the resourceVersion that it made. ``told``: how many of them the watch has delivered."""

    history: list[tuple[Key, str | None]] = field(default_factory=list)
    told: int = 0

    def write(self, key: Key, *, delete: bool) -> None:
        exists = key in self.at(len(self.history))
        if exists or not delete:
            self.history.append((key, None if delete else f"v{len(self.history) + 1}"))

    def at(self, version: int) -> dict[Key, str]:
        state: dict[Key, str] = {}
        for key, value in self.history[:version]:
            state.pop(key, None)
            if value is not None:
                state[key] = value
        return state


step = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(KEYS), st.booleans()),
    st.tuples(st.just("own write"), st.sampled_from(KEYS)),
    st.tuples(st.just("answer"), st.integers(0, 5)),
    st.tuples(st.just("event")),
    st.tuples(st.just("bookmark")),
    st.tuples(st.just("list asked")),
    st.tuples(st.just("list answered")),
    st.tuples(st.just("watch begins")),
)


@given(st.lists(step, max_size=60))
def test_it_is_the_servers_state_at_its_position_under_our_own_writes(steps: list[tuple[Any, ...]]) -> None:
    server, mirror = Server(), Store[str]()
    heard: dict[Key, str] = {}  # by whoever only listens to the changes
    unanswered: list[int] = []
    answered: set[int] = set()
    asked: int | None = None

    def hear(changes: list[Change[str]]) -> None:
        for change in changes:
            assert heard.get(change.key) == change.before
            heard.pop(change.key, None)
            if change.after is not None:
                heard[change.key] = change.after

    for what, *arguments in steps:
        before = mirror.position
        match what, arguments:
            case "write", [key, delete]:
                server.write(key, delete=delete)
            case "own write", [key]:
                server.write(key, delete=False)
                unanswered.append(len(server.history))
            case "answer", [number] if unanswered:
                version = unanswered.pop(number % len(unanswered))
                key, value = server.history[version - 1]
                assert value is not None
                mirror.wrote(key, value, version)
                answered.add(version)
            case "event", _ if server.told < len(server.history):
                key, value = server.history[server.told]
                server.told += 1
                change = mirror.event(key, value, server.told)
                hear([change] if change is not None else [])
            case "bookmark", _:
                mirror.bookmark(server.told)
            case "list asked", _:
                asked = len(server.history)
            case "list answered", _ if asked is not None:
                hear(mirror.refresh(server.at(asked), asked))
                asked = None
            case "watch begins", _:
                server.told = len(server.history)
                hear(mirror.replace(server.at(server.told), server.told))
        assert mirror.position >= before
        expected = server.at(mirror.position)
        assert heard == expected
        own = [version for version in sorted(answered) if version > mirror.position]
        expected |= {server.history[version - 1][0]: f"v{version}" for version in own}
        assert dict(mirror.values()) == expected
        assert {key: mirror.value(key) for key in KEYS} == {key: expected.get(key) for key in KEYS}


def test_a_shard_that_was_deleted_and_made_again() -> None:
    mirror = Store[str]()
    mirror.replace({("n", "a"): "old"}, 10)
    mirror.wrote(("n", "a"), "new", 13)  # the answer overtakes the events
    assert mirror.event(("n", "a"), None, 12) == Change(("n", "a"), "old", None)
    assert dict(mirror.values()) == {("n", "a"): "new"}
    assert mirror.event(("n", "a"), "new", 13) == Change(("n", "a"), None, "new")
    assert mirror.event(("n", "a"), None, 14) == Change(("n", "a"), "new", None)
    assert dict(mirror.values()) == {}


def test_an_answer_that_comes_after_the_deletion_brings_nothing_back() -> None:
    mirror = Store[str]()
    mirror.replace({}, 10)
    mirror.event(("n", "a"), "mine", 11)
    mirror.event(("n", "a"), None, 12)
    mirror.wrote(("n", "a"), "mine", 11)
    assert dict(mirror.values()) == {}


def test_a_server_that_was_restored_from_an_older_copy_is_believed() -> None:
    mirror = Store[str]()
    mirror.replace({("n", "a"): "late", ("n", "b"): "kept"}, 100)
    assert mirror.refresh({}, 60) == []  # an answer that took long: the watch is further
    assert mirror.replace({("n", "b"): "kept"}, 60) == [Change(("n", "a"), "late", None)]
    assert mirror.event(("n", "c"), "new", 61) is not None


def test_by_namespace() -> None:
    mirror = Store[str]()
    mirror.replace({("n", "a"): "1", ("m", "a"): "2"}, 1)
    assert list(mirror.values("m")) == [(("m", "a"), "2")]
