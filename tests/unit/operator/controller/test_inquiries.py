"""A holder that does not renew: its members, real HTTP servers, are asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ibfeed_api.calls import Signer
from ibfeed_api.failsafe import Member, Outcome, Renewal, format_members
from ibfeed_api.failsafe_calls import PATH, Kind, Question, ask, read_answer
from ibfeed_api.failsafe_member import FailsafeMember
from ibfeed_api.labels import ANNOTATION_FENCED, ANNOTATION_MEMBERS
from ibfeed_api.lease import TAKEOVER_S
from ibfeed_operator.controller.failsafe import renew_for
from ibfeed_operator.controller.inquiries import Case, Inquiries
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import ConflictError, KubeError, NotFoundError, UnreachableError
from ibfeed_operator.model.decode import read_lease
from ibfeed_operator.model.types import AccountLease
from support.ports import free_port

HOLDER = "energy-0_u0"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/n/leases/"
OPERATOR = Signer()


class Api(KubeClient):
    """One Lease, and pods by path."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {
            "metadata": {
                "name": "ib-account-paper-1",
                "namespace": "n",
                "uid": "l",
                "resourceVersion": "7",
                "annotations": {},
            },
            "spec": {"holderIdentity": HOLDER},
        }
        self.pods: dict[str, dict[str, Any]] = {}
        self.error: KubeError | None = None

    async def get(self, path: str) -> bytes:
        if self.error is not None:
            raise self.error
        found = self.lease if path.startswith(LEASES) else self.pods.get(path)
        if found is None:
            raise NotFoundError("no such pod", 404)
        return json.dumps(found).encode()

    async def patch(self, path: str, body: dict[str, Any], **_: Any) -> bytes:
        if self.error is not None:
            raise self.error
        meta = self.lease["metadata"]
        if body["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            raise ConflictError("changed", 409)
        meta["annotations"] |= body["metadata"].get("annotations", {})
        self.lease["spec"] |= body.get("spec", {})
        meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)
        return json.dumps(self.lease).encode()


@dataclass
class Process:
    """A member at a port of its own."""

    name: str
    signer: Signer = field(default_factory=Signer)
    port: int = field(default_factory=free_port)
    renewal: Renewal = field(default_factory=lambda: Renewal(Outcome.AWAY))
    holds: bool = False

    def __post_init__(self) -> None:
        self._holder = Signer()

        async def renew(_: Question) -> Renewal:
            return self.renewal

        def key_of(name: str) -> str:
            return self._holder.public_key if name == HOLDER else OPERATOR.public_key

        self.member = FailsafeMember(self.name, self.signer, renew=renew, key_of=key_of, holds=lambda _: self.holds)
        self.member._words._started -= TAKEOVER_S  # type: ignore[misc]

    @property
    def address(self) -> Member:
        return Member(namespace="n", name=self.name, address=f"127.0.0.1:{self.port}", key=self.signer.public_key)

    async def say_away(self) -> None:
        question = Question(Kind.RENEW, HOLDER, "n", "ib-account-paper-1", HOLDER, "7")
        body = await self.member.answer(ask(self._holder, self.address, question))
        assert read_answer(body, self.address, question, Renewal).outcome is Outcome.AWAY

    async def serve(self) -> web.AppRunner:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(text=await self.member.answer(await request.text()))

        app = web.Application()
        app.add_routes([web.post(PATH, answer)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner


class Scene:
    """An operator that is a member itself, and two workers beside the holder."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.api = Api()
        self.operator = Process("operator_x", signer=OPERATOR)
        self.one, self.two, self.holder = Process("energy-1_u1"), Process("energy-2_u2"), Process(HOLDER)
        self.woken = asyncio.Event()
        self.inquiries = Inquiries(self.api, http, self.operator.member, OPERATOR, self.woken.set)

    def lease(self, *members: Process, age: float = TAKEOVER_S) -> AccountLease:
        text = format_members(process.address for process in members)
        self.api.lease["metadata"]["annotations"][ANNOTATION_MEMBERS] = text
        found = read_lease(json.dumps(self.api.lease).encode())
        return AccountLease(
            name=found.name,
            source="paper",
            index=1,
            holder=found.holder,
            members=found.members,
            renew_seen_age_s=age,
            resource_version=found.resource_version,
        )

    async def inquire(self, lease: AccountLease) -> bool:
        """Whether the Lease says that its holder has fenced itself."""
        assert lease.doubtful
        case = Case(namespace="n", path=f"{LEASES}{lease.name}", lease=lease, holder=self.holder.address)
        assert self.inquiries.refresh([case])
        await asyncio.gather(*self.inquiries._tasks.values())
        self.inquiries._asked_at.clear()
        said = self.api.lease["metadata"]["annotations"].get(ANNOTATION_FENCED) == HOLDER
        assert said is self.woken.is_set()
        return said

    def later(self, seconds: float) -> None:
        """So much time passes for what is known of members that have ended."""
        self.inquiries._ended = {member: since - seconds for member, since in self.inquiries._ended.items()}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with aiohttp.ClientSession() as http:
        scene = Scene(http)
        runners = [await process.serve() for process in (scene.one, scene.two)]
        yield scene
        await scene.inquiries.close()
        for runner in runners:
            await runner.cleanup()


async def test_an_operator_that_is_the_only_member_knows_by_itself(scene: Scene) -> None:
    lease = scene.lease(scene.operator)
    await scene.operator.say_away()
    assert not await scene.inquire(lease)
    scene.operator.member._words._said.clear()
    assert await scene.inquire(lease)


async def test_of_three_members_two_must_vouch(scene: Scene) -> None:
    lease = scene.lease(scene.operator, scene.one, scene.two)
    await scene.one.say_away()
    await scene.two.say_away()
    assert not await scene.inquire(lease)
    scene.one.member._words._said.clear()
    assert await scene.inquire(lease)


async def test_a_new_operator_goes_by_what_the_members_say(scene: Scene) -> None:
    gone = Process("operator_y")
    lease = scene.lease(gone, scene.one, scene.two)
    scene.api.pods["/api/v1/namespaces/n/pods/operator"] = _pod("y")
    await scene.one.say_away()
    assert not await scene.inquire(lease)
    scene.one.member._words._said.clear()
    assert await scene.inquire(lease)


@pytest.mark.parametrize(
    ("pod", "ended"),
    [
        (None, True),
        ("other uid", True),
        ("stopped", True),
        ("failed", True),
        ("running", False),
        ("not started", False),
    ],
)
async def test_a_member_that_has_ended_says_nothing_any_more(scene: Scene, pod: str | None, ended: bool) -> None:
    dead = Process("energy-7_u7")  # nothing listens
    pods = {
        "other uid": _pod("u8"),
        "stopped": _pod("u7", running=False),
        "failed": _pod("u7", phase="Failed"),
        "running": _pod("u7"),
        "not started": {"metadata": {"uid": "u7"}, "status": {"phase": "Pending"}},
    }
    if pod is not None:
        scene.api.pods["/api/v1/namespaces/n/pods/energy-7"] = pods[pod]
    lease = scene.lease(dead)
    assert not await scene.inquire(lease), "it may have said away just before it died"
    scene.later(TAKEOVER_S - 0.1)
    assert not await scene.inquire(lease)
    scene.later(0.2)
    assert await scene.inquire(lease) is ended


async def test_a_holder_that_answers_is_left_alone(scene: Scene) -> None:
    scene.holder.holds = True
    runner = await scene.holder.serve()
    lease = scene.lease(scene.operator)
    assert not await scene.inquire(lease)
    scene.holder.holds = False
    assert await scene.inquire(lease)
    await runner.cleanup()


async def test_a_holder_that_renews_meanwhile_is_left_alone(scene: Scene) -> None:
    lease = scene.lease(scene.operator)
    scene.api.lease["metadata"]["resourceVersion"] = "8"
    assert not await scene.inquire(lease)


async def test_an_api_server_that_goes_away_leaves_it_open(scene: Scene) -> None:
    scene.api.error = UnreachableError("away")
    assert not await scene.inquire(scene.lease(Process("energy-7_u7")))


async def test_a_lease_is_asked_about_once_a_second(scene: Scene) -> None:
    case = Case(namespace="n", path=LEASES, lease=scene.lease(Process("energy-7_u7")), holder=None)
    scene.api.error = UnreachableError("away")
    assert scene.inquiries.refresh([case])
    first = scene.inquiries._tasks[LEASES]
    await first
    assert scene.inquiries.refresh([case])
    assert scene.inquiries._tasks[LEASES] is first
    assert not scene.inquiries.refresh([])


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.RENEWED),
        (UnreachableError("away"), Outcome.AWAY),
        (KubeError("etcd is away", 500), Outcome.AWAY),
        (KubeError("too many", 429), Outcome.AWAY),
        (KubeError("may not", 403), Outcome.UNABLE),
        (NotFoundError("gone", 404), Outcome.LOST),
    ],
)
async def test_the_operator_renews_for_a_worker(scene: Scene, error: KubeError | None, outcome: Outcome) -> None:
    scene.api.error = error
    old = Question(Kind.RENEW, HOLDER, "n", "ib-account-paper-1", HOLDER, "6")
    renewal = await renew_for(scene.api, old, known=True)
    assert renewal.outcome is outcome
    if outcome is Outcome.RENEWED:
        assert renewal.resource_version == "8"
        assert "renewTime" in scene.api.lease["spec"]


@pytest.mark.parametrize("known", [True, False])
async def test_the_operator_writes_to_no_lease_that_is_anothers(scene: Scene, known: bool) -> None:
    """The asker knows the version of the Lease; by what this operator saw last (``known``) it may still be its own."""
    scene.api.lease["spec"]["holderIdentity"] = "energy-0_u9"
    version = "6" if known else "7"
    renewal = await renew_for(
        scene.api, Question(Kind.RENEW, HOLDER, "n", "ib-account-paper-1", HOLDER, version), known=known
    )
    assert renewal.outcome is Outcome.LOST
    assert "renewTime" not in scene.api.lease["spec"]


def _pod(uid: str, *, running: bool = True, phase: str = "Running") -> dict[str, Any]:
    state = {"running": {"startedAt": "2026-11-27T00:00:00Z"}} if running else {"terminated": {"exitCode": 137}}
    return {"metadata": {"uid": uid}, "status": {"phase": phase, "containerStatuses": [{"state": state}]}}
