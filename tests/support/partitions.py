"""Failsafe on a network that breaks at random: the product's holder, members and operator, in virtual time.

Eight workers, two operators and four Leases at one API server. Every few seconds each connection works, hangs, is slow
or is refused, each direction by itself. Now and then an operator starts again, or another one acts. Whatever happens,
no two processes hold one Lease. When the network is whole again, every Lease is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx

from ibfeed_api.calls import CallRefusedError, Signer
from ibfeed_api.failsafe import Member
from ibfeed_api.failsafe_member import FailsafeMember
from ibfeed_api.shard import Account, ShardSpec
from ibfeed_operator.controller.failsafe import renew_for
from ibfeed_operator.controller.inquiries import Case, Inquiries
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import ConflictError as OperatorConflict
from ibfeed_operator.kube.errors import KubeError as OperatorKubeError
from ibfeed_operator.kube.errors import NotFoundError, UnreachableError
from ibfeed_operator.kube.lease_age import LeaseObserver
from ibfeed_operator.model.decode import read_lease
from ibfeed_operator.planning.failsafe import Peer, members_of
from ibfeed_worker.account.failsafe import Failsafe
from ibfeed_worker.account.fence import Fence
from ibfeed_worker.account.leaseholder import Leaseholder, acquire_lease
from ibfeed_worker.kube.client import ConflictError, KubeError
from support.clock import run
from support.lease_api import ApiServer, Unarmed

STORY_S: Final = 60.0
PEACE_S: Final = 45.0  # 10 s of silence, the answers, and the pauses between tries
LEASE_COUNT: Final = 4
# Each Lease is wanted by two: a worker, and the one that another node has in its place.
WORKERS: Final = ("w-0_a", "w-1_b", "w-2_c", "w-3_d", "v-0_e", "v-1_f", "v-2_g", "v-3_h")
OPERATORS: Final = ("op-1_x", "op-2_y")
API: Final = "api"
LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/n/leases/"


class BrokenError(Exception):
    """The connection does not work."""


@dataclass
class Network:
    """``state``: (from, to) -> seconds that a message takes, or None: it never arrives."""

    dice: random.Random
    state: dict[tuple[str, str], float | None] = field(default_factory=dict)

    async def carry(self, sender: str, receiver: str) -> None:
        took = self.state.get((sender, receiver), 0.001)
        if took is None:
            await asyncio.sleep(3.0)
            raise BrokenError
        await asyncio.sleep(took)

    def shuffle(self) -> None:
        """The whole network at once: of one kind of trouble, or of all kinds mixed."""
        everybody = (*WORKERS, *OPERATORS)
        self.state.clear()
        kind = self.dice.choice(["whole", "api away", "halves", "mixed", "one way", "workers away", "workers away"])
        if kind == "api away":
            self.state = {(one, API): None for one in everybody}
        elif kind == "halves":
            here = {one for one in everybody if self.dice.random() < 0.5}
            with_api = here if self.dice.random() < 0.5 else set(everybody) - here
            self.state = {(a, b): None for a in everybody for b in everybody if (a in here) != (b in here)}
            self.state |= {(one, API): None for one in everybody if one not in with_api}
        elif kind == "workers away":  # the operators reach the API server, and not each worker reaches them
            self.state = {(one, API): None for one in WORKERS}
            self.state |= {(one, other): None for one in WORKERS for other in OPERATORS if self.dice.random() < 0.7}
        elif kind in ("mixed", "one way"):
            for one in everybody:
                for other in (*everybody, API):
                    self.state[one, other] = self.dice.choice([0.001, 0.4, 1.3, None])
                self.state[API, one] = self.dice.choice([0.001, 0.001, 0.8, None]) if kind == "mixed" else 0.001


class WorkersStore:
    """The API server as one worker reaches it. The answer to a call may be lost although it was carried out."""

    def __init__(self, api: ApiServer, network: Network, me: str) -> None:
        self._api, self._network, self._me = api, network, me

    async def read_lease(self, name: str) -> dict[str, Any]:
        async with self._call():
            return await self._api.read_lease(name)

    async def patch_lease(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._call():
            return await self._api.patch_lease(name, body)

    @contextlib.asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(2.0):
                await self._network.carry(self._me, API)
                yield
                await self._network.carry(API, self._me)
        except (BrokenError, TimeoutError):
            raise KubeError("no answer") from None


class OperatorsApi(KubeClient):
    """The same for an operator. No pod is ever seen to end: the dice decide who answers."""

    def __init__(self, api: ApiServer, network: Network, me: str) -> None:
        self._store = WorkersStore(api, network, me)

    async def get(self, path: str) -> bytes:
        if not path.startswith(LEASES):
            return b'{"metadata": {"uid": "another"}}' if "gone" in path else json.dumps(_running(path)).encode()
        return json.dumps(await self._translated(self._store.read_lease(path.removeprefix(LEASES)))).encode()

    async def patch(self, path: str, body: dict[str, Any], **_: Any) -> bytes:
        return json.dumps(await self._translated(self._store.patch_lease(path.removeprefix(LEASES), body))).encode()

    async def _translated(self, call: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await call
        except ConflictError:
            raise OperatorConflict("changed", 409) from None
        except KubeError as error:
            raise UnreachableError(str(error)) from None
        return {**found, "metadata": {"namespace": "n", "uid": "l", **found["metadata"]}}


def _running(path: str) -> dict[str, Any]:
    pod = path.rpartition("/")[2]
    uid = next((name.partition("_")[2] for name in (*WORKERS, *OPERATORS) if name.startswith(f"{pod}_")), "?")
    return {"metadata": {"uid": uid}, "status": {"containerStatuses": [{"state": {"running": {}}}]}}


class World:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.network = Network(self.dice)
        self.api = ApiServer()
        self.failsafes: dict[str, Failsafe] = {}
        self.operators: dict[str, Operator] = {}
        self.holders: dict[str, list[tuple[str, Leaseholder]]] = {}
        for index in range(LEASE_COUNT):
            self.api.create(f"lease-{index}")
        for place, me in enumerate(WORKERS):
            self.failsafes[me] = self._failsafe(me, place)
        for me in OPERATORS:
            self.operators[me] = Operator(self, me)
        self.acting = OPERATORS[0]

    def members(self) -> dict[int, tuple[Member, ...]]:
        """As the operator that acts would write them."""

        def member(name: str, key: str) -> Member:
            return Member(namespace="n", name=name, address=f"{name}:80", key=key)

        peers = {place: Peer(member(me, self.failsafes[me].key), "") for place, me in enumerate(WORKERS)}
        return members_of(peers, member(self.acting, self.operators[self.acting].signer.public_key))

    def _failsafe(self, me: str, place: int) -> Failsafe:
        index = place % LEASE_COUNT

        def spec() -> ShardSpec:
            return ShardSpec(
                feed="f",
                worker=index,
                account=Account(source="s", index=index, lease=f"lease-{index}"),
                operator_key=self.operators[self.acting].signer.public_key,
                members=self.members()[place],
            )

        store = WorkersStore(self.api, self.network, me)
        found = Failsafe(store, me=me, namespace="n", spec=spec, fence_is_open=lambda: self.holds(me, index))
        found.calls._http = httpx.AsyncClient(transport=Wire(self, me))  # type: ignore[misc]
        return found

    def holds(self, me: str, index: int) -> bool:
        return any(name == me and not held.lost.is_set() for name, held in self.holders.get(f"lease-{index}", ()))

    async def ask(self, sender: str, receiver: str, body: str) -> str:
        await self.network.carry(sender, receiver)
        member = self.failsafes[receiver].member if receiver in self.failsafes else self.operators[receiver].member
        answered = await member.answer(body)
        await self.network.carry(receiver, sender)
        return answered

    async def hold(self, me: str, index: int) -> None:
        """A process holds a Lease for as long as it can, again and again, as a worker does."""
        store, name = WorkersStore(self.api, self.network, me), f"lease-{index}"
        while True:
            held = await acquire_lease(
                store, name, me, Fence(Unarmed(), lambda: None), lambda _: None, self.failsafes[me].calls
            )
            others = [other for other, found in self.holders.get(name, ()) if not found.lost.is_set()]
            assert not others, f"{me} takes {name} while {others} hold it"
            self.holders.setdefault(name, []).append((me, held))
            await held.lost.wait()
            await asyncio.sleep(1.0)


class Wire(httpx.AsyncBaseTransport):
    """From a worker to a member, by the network."""

    def __init__(self, world: World, me: str) -> None:
        self._world, self._me = world, me

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            text = await self._world.ask(self._me, request.url.host, request.content.decode())
        except (BrokenError, CallRefusedError, KeyError):
            raise httpx.ConnectError("no answer") from None
        return httpx.Response(200, text=text)


class Session:
    """From an operator to a member: the part of aiohttp's session that is used."""

    def __init__(self, world: World, me: str) -> None:
        self._world, self._me = world, me

    @contextlib.asynccontextmanager
    async def post(self, url: str, *, data: str, **_: Any) -> AsyncIterator[Session]:
        receiver = url.removeprefix("http://").partition(":")[0]
        try:
            async with asyncio.timeout(1.5):
                self._text = await self._world.ask(self._me, receiver, data)
        except (BrokenError, KeyError):
            raise TimeoutError from None
        answer = Session(self._world, self._me)
        answer._text = self._text
        yield answer

    status = 200

    async def text(self) -> str:
        return self._text


class Operator:
    """It looks at each Lease every second, and inquires as a cycle does."""

    def __init__(self, world: World, me: str) -> None:
        self._world, self._me = world, me
        self.api = OperatorsApi(world.api, world.network, me)
        self.signer = Signer()
        self.start()

    def start(self) -> None:
        """A new process: it remembers nothing."""
        self._ages = LeaseObserver()
        self.member = FailsafeMember(
            self._me,
            self.signer,
            renew=lambda question: renew_for(self.api, question, known=False),
            key_of=self._key_of,
        )
        session: Any = Session(self._world, self._me)
        self.inquiries = Inquiries(self.api, session, self.member, self.signer, lambda: None)

    def _key_of(self, name: str) -> str | None:
        if name in self._world.failsafes:
            return self._world.failsafes[name].key
        return self._world.operators[self._world.acting].signer.public_key

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.5)
            if self._world.acting != self._me:
                continue
            for index in range(LEASE_COUNT):
                name = f"lease-{index}"
                try:
                    raw = await self.api.get(f"{LEASES}{name}")
                except (OperatorKubeError, NotFoundError):
                    self._ages.lose_contact(loop.time())
                    break
                lease = read_lease(raw)
                age = self._ages.age("n", name, lease.resource_version, loop.time())
                found = replace(lease, renew_seen_age_s=age)
                if found.doubtful:
                    case = Case(namespace="n", path=f"{LEASES}{name}", lease=found, holder=None)
                    self.inquiries.refresh([case])


@dataclass(frozen=True, slots=True)
class Ending:
    """``held``: Lease -> processes that hold it in the end. ``takes``: how often a Lease was taken."""

    held: Mapping[str, int]
    takes: int


def story(seed: int) -> Ending:
    """Run one story of a minute, and of the peace after it. Raises AssertionError when two hold one Lease."""
    return run(_story(seed))


async def _story(seed: int) -> Ending:
    world = World(seed)
    tasks = [asyncio.create_task(world.hold(me, place % LEASE_COUNT)) for place, me in enumerate(WORKERS)]
    tasks += [asyncio.create_task(operator.run()) for operator in world.operators.values()]
    try:
        await asyncio.sleep(12.0)  # members have been up for long enough to vouch
        left = STORY_S
        while left > 0:
            world.network.shuffle()
            if world.dice.random() < 0.15:
                world.operators[world.dice.choice(OPERATORS)].start()
            if world.dice.random() < 0.15:
                world.acting = world.dice.choice(OPERATORS)
            pause = world.dice.uniform(1.0, 20.0)
            await asyncio.sleep(pause)
            left -= pause
            for task in tasks:
                if task.done():
                    task.result()
        world.network.state.clear()
        await asyncio.sleep(PEACE_S)
        held = {name: sum(not found.lost.is_set() for _, found in holders) for name, holders in world.holders.items()}
        for task in tasks:
            if task.done():
                task.result()
        return Ending(held, sum(len(holders) for holders in world.holders.values()))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for operator in world.operators.values():
            await operator.inquiries.close()
