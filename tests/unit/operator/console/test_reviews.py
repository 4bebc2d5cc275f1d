"""The API server is asked who somebody is and what they may list, and its answers are kept for half a minute."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ibfeed_operator.console.reviews import REMEMBER_S, Reviews
from ibfeed_operator.console.sign_in import Reviewed
from ibfeed_operator.kube.client import KubeClient

TOKENS = {"good": {"username": "anna", "groups": ["desk"], "extra": {"scope": ["x"]}}}


class ApiServer(KubeClient):
    """Answers reviews: ``rights`` are pairs of a namespace (empty: all) and a resource that everybody may list."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.rights: set[tuple[str, str]] = set()

    async def review(self, path: str, body: dict[str, Any]) -> bytes:
        self.asked.append(body["spec"])
        if path.endswith("tokenreviews"):
            user = TOKENS.get(body["spec"]["token"])
            return msgspec.json.encode({"status": {"authenticated": user is not None, "user": user or {}}})
        wanted = body["spec"]["resourceAttributes"]
        return msgspec.json.encode({"status": {"allowed": (wanted["namespace"], wanted["resource"]) in self.rights}})


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def reviews(server: ApiServer, now: list[float]) -> Reviews:
    return Reviews(server, clock=lambda: now[0])


ALL = ("ibfeeds", "ibshards", "ibsinks")
ANNA = Reviewed(username="anna", groups=("desk",))


async def test_token_is_reviewed_once_in_half_a_minute(reviews: Reviews, server: ApiServer, now: list[float]) -> None:
    user = await reviews.user("good")
    assert user == Reviewed(username="anna", groups=("desk",), extra={"scope": ("x",)})
    assert await reviews.user("good") == user
    assert len(server.asked) == 1
    now[0] = REMEMBER_S
    await reviews.user("good")
    assert len(server.asked) == 2


async def test_unknown_token_is_nobody_and_is_not_kept_as_text(reviews: Reviews) -> None:
    assert await reviews.user("made-up") is None
    assert "made-up" not in repr(vars(reviews))


async def test_namespace_is_visible_if_all_three_kinds_may_be_listed(reviews: Reviews, server: ApiServer) -> None:
    server.rights = {("trading", one) for one in ALL} | {("half", "ibfeeds"), ("half", "ibshards")}
    assert await reviews.visible(ANNA, ["trading", "half", "other"]) == {"trading"}


async def test_right_to_all_namespaces_needs_no_further_question(reviews: Reviews, server: ApiServer) -> None:
    server.rights = {("", one) for one in ALL}
    assert await reviews.visible(ANNA, ["a", "b"]) == {"a", "b"}
    assert len(server.asked) == 3


async def test_right_that_is_taken_away_ends_within_half_a_minute(
    reviews: Reviews, server: ApiServer, now: list[float]
) -> None:
    server.rights = {("trading", one) for one in ALL}
    assert await reviews.visible(ANNA, ["trading"])
    server.rights = set()
    now[0] = REMEMBER_S
    assert not await reviews.visible(ANNA, ["trading"])


async def test_groups_of_another_token_are_asked_for_again(reviews: Reviews, server: ApiServer) -> None:
    await reviews.visible(ANNA, ["trading"])
    before = len(server.asked)
    await reviews.visible(Reviewed(username="anna", groups=("admins",)), ["trading"])
    assert len(server.asked) > before
    assert server.asked[-1]["groups"] == ["admins"]
