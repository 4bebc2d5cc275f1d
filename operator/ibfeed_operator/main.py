"""The operator's process: puts its parts together, runs them and ends them. Nothing is decided here."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import aiohttp

from ibfeed_api.calls import Signer
from ibfeed_api.failsafe import Member
from ibfeed_api.log import Log, set_up
from ibfeed_api.worker_pod import address_of
from ibfeed_operator.controller import predicates
from ibfeed_operator.controller.dependencies import Dependencies, Settings, utc_now
from ibfeed_operator.controller.failsafe import failsafe_member
from ibfeed_operator.controller.manager import Manager
from ibfeed_operator.controller.snapshot import Informers
from ibfeed_operator.http import PORT, serve
from ibfeed_operator.kopf_adapter import Watcher, watch
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.election import Election, identity
from ibfeed_operator.kube.errors import LeadershipLostError
from ibfeed_operator.kube.store import Change
from ibfeed_operator.model.types import AccountLease, Pod, Shard
from ibfeed_operator.sinks.manager import SinkManager
from ibfeed_operator.sinks.reconciler import SinkDependencies, SinkInformers

T = TypeVar("T")
_log: Final = Log(__name__)


def wake(manager: Manager, informers: Informers) -> None:
    """Make each change of a shard, a pod or a Lease wake the feeds that it concerns."""

    def shard_changed(change: Change[Shard]) -> None:
        if _differ(change, predicates.of_shard):
            manager.touch(change.key[0], change.either.spec.feed)

    def pod_changed(change: Change[Pod]) -> None:
        manager.touch(change.key[0], change.either.feed)

    def lease_changed(change: Change[AccountLease]) -> None:
        if _differ(change, predicates.of_lease):
            manager.touch_namespace(change.key[0])

    informers.shards.listen(shard_changed)
    informers.pods.listen(pod_changed)
    informers.leases.listen(lease_changed)


def _differ(change: Change[T], digest_of: Callable[[T], object]) -> bool:
    if change.before is None or change.after is None:
        return True
    return digest_of(change.before) != digest_of(change.after)


def settings_from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises KeyError with the variable's name if a required one is missing."""
    return Settings(
        worker_image=environment["IBFEED_WORKER_IMAGE"],
        operator_namespace=environment.get("POD_NAMESPACE", "ibfeed-system"),
        namespace=environment.get("IBFEED_NAMESPACE", ""),
        pod_ip=environment.get("POD_IP", ""),
        sink_image=environment.get("IBFEED_SINK_IMAGE", ""),
    )


async def operate(settings: Settings, *, me: str, port: int = PORT, clock: Callable[[], datetime] = utc_now) -> None:
    """Watch, and act while leading, until a signal comes or kopf gives up (then another process is started).

    Raises LeadershipLostError when another operator may act from now on.
    """
    gc.freeze()  # imported modules stay, and to search them repeatedly would cost a fifth of a large feed's cycle
    async with (
        await KubeClient.connect() as own,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,  # a lifeline for each worker
    ):
        election = Election(own, settings.operator_namespace, me)
        async with (
            await KubeClient.connect(election.acts) as kube,
            await KubeClient.connect(election.acts) as for_sinks,  # of their own, so that no feed waits for a sink
        ):
            informers, signer = Informers(kube, settings.namespace), Signer()
            election.on_away = lambda: informers.ages.lose_contact(time.monotonic())
            failsafe = failsafe_member(own, informers, me, signer)
            dependencies = Dependencies(
                kube=kube,
                informers=informers,
                http=http,
                settings=settings,
                clock=clock,
                signer=signer,
                failsafe=failsafe,
                as_member=_as_member(settings, me, port, signer),
            )
            manager = Manager(dependencies)
            wake(manager, informers)
            sinks = _sink_manager(for_sinks, settings)
            watcher = Watcher(manager, sinks.touch_feed)
            server = await serve(manager, election, failsafe, port=port)
            acting = (
                asyncio.create_task(election.run()),
                asyncio.create_task(_act(election, manager.run)),
                asyncio.create_task(_act(election, sinks.run)),
            )
            watching = (
                asyncio.create_task(watch(settings, watcher)),
                asyncio.create_task(informers.run()),
                asyncio.create_task(watcher.stop.wait()),
            )
            try:
                await asyncio.wait((*acting, *watching), return_when=asyncio.FIRST_COMPLETED)
            finally:
                results = await _ended(*acting)
                await election.release()
                results += await _ended(*watching)
                await server.cleanup()
            for result in results:
                if isinstance(result, Exception):
                    raise result


def _sink_manager(kube: KubeClient, settings: Settings) -> SinkManager:
    informers = SinkInformers(kube, settings.namespace)
    return SinkManager(SinkDependencies(kube=kube, informers=informers, image=settings.sink_image))


def _as_member(settings: Settings, me: str, port: int, signer: Signer) -> Member | None:
    if not settings.pod_ip:
        return None
    return Member(
        namespace=settings.operator_namespace, name=me, address=address_of(settings.pod_ip, port), key=signer.public_key
    )


async def _ended(*tasks: asyncio.Task[Any]) -> list[Any]:
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def _act(election: Election, run: Callable[[], Awaitable[None]]) -> None:
    await election.won.wait()
    await run()


def main(*, port: int = PORT, clock: Callable[[], datetime] = utc_now) -> None:
    set_up()
    try:
        asyncio.run(operate(settings_from_environment(os.environ), me=identity(os.environ), port=port, clock=clock))
    except LeadershipLostError as lost:
        _log.error("this operator no longer leads, and ends", error=str(lost))
        sys.exit(1)
