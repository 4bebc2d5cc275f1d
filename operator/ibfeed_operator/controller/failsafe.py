"""The operator as a member of failsafes: it renews for a worker that can't, or says that it can't either."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from ibfeed_api.calls import Signer
from ibfeed_api.failsafe import Outcome, Renewal
from ibfeed_api.failsafe_calls import Question
from ibfeed_api.failsafe_member import FailsafeMember
from ibfeed_api.lease import micro_time
from ibfeed_operator.controller.snapshot import Informers, leases_path
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import ConflictError, KubeError, NotFoundError, UnreachableError
from ibfeed_operator.model.decode import read_lease, resource_version_of


def failsafe_member(kube: KubeClient, informers: Informers, me: str, signer: Signer) -> FailsafeMember:
    """Return this operator's part.

    ``kube`` must not ask whether this operator leads: a holder's renewal is the holder's own doing.
    """

    def key_of(name: str) -> str | None:
        """The key of a worker, by its pod's name and uid; else that of an operator that leads now."""
        pod_name, _, uid = name.rpartition("_")
        for (namespace, found), pod in informers.pods.values():
            if found == pod_name and pod.uid == uid:
                shard = informers.shards.value((namespace, found))
                return shard.status.key if shard is not None and shard.status is not None else None
        return next(
            (shard.spec.operator_key for _, shard in informers.shards.values() if shard.spec.operator_key), None
        )

    async def renew(question: Question) -> Renewal:
        known = informers.leases.value((question.namespace, question.lease))
        return await renew_for(kube, question, known=known is not None and known.holder == question.holder)

    return FailsafeMember(me, signer, renew=renew, key_of=key_of)


async def renew_for(kube: KubeClient, question: Question, *, known: bool) -> Renewal:
    """Renew a worker's Lease, if it is still that worker's.

    ``known``: it is the worker's by what was last seen. Else it is looked at first: this operator may write to every
    Lease, and a worker may not have it write to another's.
    """
    path = f"{leases_path(question.namespace)}/{question.lease}"
    try:
        raw = await _renew_as_seen(kube, path, question.resource_version) if known else None
        if raw is None:
            seen = await kube.get(path)
            lease = read_lease(seen)
            if lease.holder != question.holder or lease.fenced:
                return Renewal(Outcome.LOST, f"Lease {lease.name} is not {question.holder}'s any more")
            raw = await _renew(kube, path, resource_version_of(seen))
    except NotFoundError:
        return Renewal(Outcome.LOST, f"Lease {question.lease} was deleted")
    except UnreachableError as error:
        return Renewal(Outcome.AWAY, str(error))
    except KubeError as error:
        refused = 400 <= error.status < 500 and error.status != 429
        return Renewal(Outcome.UNABLE if refused else Outcome.AWAY, str(error))
    return Renewal(Outcome.RENEWED, resource_version=resource_version_of(raw))


async def _renew_as_seen(kube: KubeClient, path: str, version: str) -> bytes | None:
    """Return None if the Lease has changed since the holder saw it."""
    with contextlib.suppress(ConflictError):
        return await _renew(kube, path, version)
    return None


async def _renew(kube: KubeClient, path: str, version: str) -> bytes:
    spec = {"renewTime": micro_time(datetime.now(UTC))}
    return await kube.patch(path, {"metadata": {"resourceVersion": version}, "spec": spec})
