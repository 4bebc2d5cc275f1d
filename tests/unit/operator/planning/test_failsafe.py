from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.failsafe import Member
from ibfeed_operator.planning.failsafe import REACH, Peer, members_of

OPERATOR = Member(namespace="ibfeed-system", name="operator_u", address="10.0.0.1:8080", key="k")


def peer(worker: int, node: str = "a") -> Peer:
    return Peer(Member(namespace="n", name=f"e-{worker}_u{worker}", address=f"10.0.1.{worker}:8080", key="k"), node)


PEERS = st.dictionaries(st.integers(0, 30), st.sampled_from("abc")).map(
    lambda nodes: {worker: peer(worker, node) for worker, node in nodes.items()}
)


def test_one_worker_has_the_operator() -> None:
    assert members_of({0: peer(0)}, OPERATOR) == {0: (OPERATOR,)}


def test_without_an_operator_to_ask_there_are_no_members() -> None:
    assert members_of({0: peer(0), 1: peer(1)}, None) == {0: (), 1: ()}


@given(PEERS)
def test_members_are_mutual_few_and_never_oneself(peers: dict[int, Peer]) -> None:
    found = members_of(peers, OPERATOR)
    assert found.keys() == peers.keys()
    by_name = {one.member.name: worker for worker, one in peers.items()}
    for worker, members in found.items():
        others = [by_name[member.name] for member in members if member != OPERATOR]
        assert len(others) == min(len(peers) - 1, 2 * REACH)
        assert OPERATOR in members
        assert worker not in others
        for other in others:
            assert peers[worker].member in found[other]


def test_neighbours_are_on_other_nodes() -> None:
    peers = {worker: peer(worker, "abc"[worker // 3]) for worker in range(9)}
    for worker, members in members_of(peers, OPERATOR).items():
        nodes = [peers[int(member.name[2])].node for member in members if member != OPERATOR]
        assert nodes.count(peers[worker].node) == 0


@given(PEERS, st.sampled_from("abc"))
def test_one_more_worker_changes_its_neighbours_only(peers: dict[int, Peer], node: str) -> None:
    """Each change is a write to a shard. A newcomer has the highest number."""
    before = members_of(peers, OPERATOR)
    after = members_of(peers | {31: peer(31, node)}, OPERATOR)
    changed = [worker for worker in before if before[worker] != after[worker]]
    assert len(changed) <= 2 * REACH
