"""A client of the simulator's control API: logins, ground truth and faults."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Self

import httpx
import msgspec

from support.cluster import eventually, read


class Venue:
    """The client. ``base`` is ``http://host:port`` of the control API."""

    def __init__(self, base: str) -> None:
        # For a moment after a fault of the API server the node counts as lost, and a Service leads nowhere.
        transport = httpx.HTTPTransport(retries=6)
        self._http = httpx.Client(base_url=base, timeout=30, trust_env=False, transport=transport)

    @classmethod
    def in_cluster(cls, namespace: str = "ibfeed-simulator") -> Self:
        service = read("service", "ib-api", namespace)
        assert service, "the simulator is not deployed: run `make up` first"
        return cls(f"http://{service['spec']['clusterIP']}:8081")

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get("/control/state").raise_for_status().json()
        return found

    def now_ms(self) -> int:
        return int(self.state()["now_ms"])

    def logged_in(self) -> list[str]:
        """Return the users with a brokerage session. The login of a killed process has none any more."""
        users = self.state()["users"].items()
        return [name for name, user in users if any(session["authenticated"] for session in user["sessions"])]

    def cursor(self) -> int:
        """Return the present end of the ground truth."""
        return int(self.state()["truth_next"])

    def truth(self, since: int, **of: str) -> list[dict[str, Any]]:
        """Return every frame since ``cursor``, of one ``username`` or ``conid`` if given. Fails if one is forgotten."""
        lines: list[dict[str, Any]] = []
        while True:
            answer = self._http.get("/control/truth", params={"since": since, **of}).raise_for_status()
            assert answer.headers["X-Truth-Lost"] == "0", "the venue's ring was too short for this test"
            found = [msgspec.json.decode(line) for line in answer.content.splitlines()]
            lines += found
            following = int(answer.headers["X-Truth-Next"])
            if following == since:
                return lines
            since = following

    def updates(self, since: int, **of: str) -> dict[int, list[int]]:
        """Return conid -> IB's times of the updates that were sent to any user, or to one: each once, in order."""
        seen: dict[int, set[int]] = defaultdict(set)
        for line in self.truth(since, **of):
            if line["kind"] in ("full", "delta"):
                seen[line["conid"]].add(line["updated"])
        return {conid: sorted(times) for conid, times in seen.items()}

    def streamed_again(self, since: int, moment: float) -> dict[int, float]:
        """Return conid -> time of its new subscription after ``moment``, if its market had been quiet since then.

        The first frame of such a subscription repeats an update that is on Kafka already. So no tick follows from it.
        """
        first: dict[int, dict[str, Any]] = {}
        for line in self.truth(since):
            if line["kind"] == "full" and line["at_ms"] / 1000 > moment:
                first.setdefault(line["conid"], line)
        return {conid: f["at_ms"] / 1000 for conid, f in first.items() if f["updated"] / 1000 <= moment}

    def fault(self, name: str, **details: object) -> dict[str, Any]:
        """Set a fault of the catalogue, with ``username``, ``value``, ``seconds`` and ``count`` as its row says."""
        done: dict[str, Any] = self._http.post(f"/control/faults/{name}", json=details).raise_for_status().json()
        return done

    def heal(self, username: str | None = None) -> None:
        """End every lasting fault, empty the penalty box, unlock all accounts. Of one user: its faults and lock."""
        whom = {} if username is None else {"username": username}
        self._http.delete("/control/faults", params=whom).raise_for_status()
        if username is None:
            self.fault("forgive")
        self.fault("unlock", **whom)

    def wait_logged_out(self, within: float = 30) -> None:
        eventually(lambda: not self.logged_in(), within=within, what="every session is logged out at the venue")
