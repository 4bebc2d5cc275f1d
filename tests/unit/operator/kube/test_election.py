"""A leader while the API server is away, in virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ibfeed_operator.kube import election as module
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.election import Election
from ibfeed_operator.kube.errors import ConflictError, LeadershipLostError, UnreachableError
from support.clock import run


class Api(KubeClient):
    """The leader's Lease. ``away``: no call is answered; ``slow``: one call in three is not."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {"metadata": {"uid": "l", "resourceVersion": "1"}, "spec": {}}
        self.away = self.slow = False
        self._calls = 0

    async def get(self, path: str) -> bytes:
        self._calls += 1
        await asyncio.sleep(0.01)
        if self.away or (self.slow and self._calls % 3 == 0):
            raise UnreachableError("no answer")
        return json.dumps(self.lease).encode()

    async def patch(self, path: str, body: dict[str, Any], **_: Any) -> bytes:
        meta = self.lease["metadata"]
        if body["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            raise ConflictError("changed", 409)
        self.lease["spec"] |= body["spec"]
        meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)
        return json.dumps(self.lease).encode()


@pytest.fixture(autouse=True)
def _virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "now", lambda: asyncio.get_running_loop().time())


def test_a_leader_waits_while_the_api_server_is_away_and_leads_again() -> None:
    async def scene() -> None:
        api, away = Api(), 0

        def on_away() -> None:
            nonlocal away
            away += 1

        election = Election(api, "ibfeed-system", "op_u")
        election.on_away = on_away
        running = asyncio.create_task(election.run())
        await asyncio.wait_for(election.won.wait(), 20)
        api.slow = True
        await asyncio.sleep(60)
        assert election.acts()
        assert away == 0, "a call that takes too long now and then says nothing of the others"
        api.away = True
        await asyncio.sleep(7)
        assert election.acts()
        await asyncio.sleep(60)
        assert not election.acts()
        assert away
        assert not running.done()
        api.away = api.slow = False
        await asyncio.sleep(5)
        assert election.acts()
        api.lease["spec"]["holderIdentity"] = "another_x"
        with pytest.raises(LeadershipLostError, match="it is held by another_x now"):
            await asyncio.wait_for(running, 5)

    run(scene())
