"""The control API, plain HTTP on its own port: look at the venue, break it, read the ground truth."""

from __future__ import annotations

from datetime import datetime

import msgspec
from aiohttp import web

from ibfeed_simulator.venue.answers import answer
from ibfeed_simulator.venue.faults import CATALOGUE, FOR_ALL_ONLY, Action, Condition
from ibfeed_simulator.venue.venue import Venue

_TRUTH_LIMIT = 20_000  # entries in one answer
_ACTIONS = frozenset(action.value for action in Action)
_CONDITIONS = frozenset(condition.value for condition in Condition)


class FaultRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /control/faults/{name}``. Every key may be left out."""

    username: str | None = None  # None: all users
    value: str | float | None = None
    seconds: float | None = None  # None: until cleared
    count: int | None = None  # None: any number of times


class ClockRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /control/clock``: ``at`` (ISO 8601) or ``advance_seconds``. Neither: real time.

    ``ageing``: sessions grow older by the jump, and a daily reset on the way takes place.
    """

    at: datetime | None = None
    advance_seconds: float | None = None
    ageing: bool = False


class ControlHandlers:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.health),
            web.get("/control/state", self.state),
            web.get("/control/truth", self.truth),
            web.get("/control/faults", self.faults),
            web.post("/control/faults/{name}", self.set_fault),
            web.delete("/control/faults/{name}", self.clear_fault),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/clock", self.clock),
            web.post("/control/clock", self.set_clock),
        ]

    async def health(self, _: web.Request) -> web.StreamResponse:
        return answer({"status": "ok"})

    async def state(self, _: web.Request) -> web.StreamResponse:
        venue = self._venue
        now = venue.clock.now()
        users: dict[str, dict[str, object]] = {}
        for username in venue.settings.users:
            record = venue.sessions.record(username)
            connections = venue.streamer.of(username)
            sessions = [
                {
                    "session": session.tickle_id,
                    "authenticated": session.authenticated,
                    "connected": session.connected,
                    "competing": session.competing,
                    "age_seconds": round(now - session.created, 1),
                    "expires_in_ms": session.expires_in_ms(now),
                    "idle_seconds": round(now - session.last_request, 1),
                }
                for session in venue.sessions.of(username)
            ]
            users[username] = {
                "logged_in": bool(sessions),
                "logins": record.logins,
                "failed_logins": record.total_failed_logins,
                "logouts": record.logouts,
                "locked": record.locked,
                "account": venue.settings.users[username].account_id,
                "sessions": sessions,
                "lines": venue.streamer.lines_used(username),
                "websockets": [
                    {
                        "connection": connection.number,
                        "session": connection.session.tickle_id if connection.session else None,
                        "address": connection.address,
                        "subscriptions": sorted(connection.subscriptions),
                        "ladder": connection.ladder.conid if connection.ladder else None,
                    }
                    for connection in connections
                ],
            }
        return answer(
            {
                "now_ms": venue.clock.now_ms(),
                "mode": venue.settings.mode,
                "users": users,
                "sessions": len(venue.sessions.all()),
                "websockets": len(venue.streamer.connections),
                "penalties": venue.pacing.state(),
                "faults": venue.conditions.state(),
                "truth_next": venue.truth.next,
            }
        )

    async def truth(self, request: web.Request) -> web.StreamResponse:
        """Answer ``?since=N[&conid=][&username=]`` with JSON lines, one for each frame and session.

        ``X-Truth-Next`` is ``since`` of the next call. ``X-Truth-Lost`` counts entries that the ring no longer had.
        """
        query = request.query
        try:
            since = int(query.get("since", "1"))
            conid = int(query["conid"]) if "conid" in query else None
        except ValueError:
            return answer({"error": "since and conid are numbers"}, 400)
        username = query.get("username")
        entries, lost = self._venue.truth.since(since, _TRUTH_LIMIT)
        following = entries[-1].number + 1 if entries else max(since, 1)
        body = b"".join(line for entry in entries if conid in (None, entry.conid) for line in entry.lines(username))
        headers = {"X-Truth-Next": str(following), "X-Truth-Lost": str(lost)}
        return web.Response(body=body, content_type="application/x-ndjson", headers=headers)

    async def faults(self, _: web.Request) -> web.StreamResponse:
        return answer({"active": self._venue.conditions.state(), "catalogue": CATALOGUE})

    async def set_fault(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        try:
            fault = msgspec.json.decode(await request.read() or b"{}", type=FaultRequest)
        except msgspec.DecodeError as error:
            return answer({"error": str(error)}, 400)
        if fault.username is not None and fault.username not in self._venue.settings.users:
            return answer({"error": f"no user {fault.username!r}"}, 404)
        if name in _ACTIONS:
            if isinstance(fault.value, str):
                return answer({"error": "value of an action is a number"}, 400)
            return answer({"met": self._venue.actions[Action(name)](fault.username, fault.value)})
        if name not in _CONDITIONS:
            return answer({"error": f"no fault {name!r}", "catalogue": CATALOGUE}, 404)
        condition = Condition(name)
        if fault.username is not None and condition in FOR_ALL_ONLY:
            return answer({"error": f"{name} is for all users: the page does not know who logs in"}, 400)
        if condition is Condition.KILL_GATEWAY:
            self._kill_gateway(fault)
        else:
            self._venue.conditions.set(condition, fault.username, fault.value, fault.seconds, fault.count)
        return answer({"active": self._venue.conditions.state()})

    def _kill_gateway(self, fault: FaultRequest) -> None:
        """Kill the gateways of open websockets. The rest of the count waits for the next call.

        So a gateway that starts again lives on.
        """
        left = (fault.count or 1) - self._venue.kill_gateway(fault.username)
        if left > 0:
            self._venue.conditions.set(Condition.KILL_GATEWAY, fault.username, seconds=fault.seconds, count=left)

    async def clear_fault(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in _CONDITIONS:
            return answer({"error": f"no lasting fault {name!r}"}, 404)
        self._venue.conditions.clear(Condition(name), request.query.get("username"))
        return answer({"active": self._venue.conditions.state()})

    async def clear_faults(self, request: web.Request) -> web.StreamResponse:
        """Clear faults. ``?username=``: only those that were set for that user."""
        self._venue.conditions.clear(username=request.query.get("username"))
        return answer({"active": self._venue.conditions.state()})

    async def clock(self, _: web.Request) -> web.StreamResponse:
        clock = self._venue.clock
        return answer({"now_ms": clock.now_ms(), "offset_seconds": round(clock.offset, 3)})

    async def set_clock(self, request: web.Request) -> web.StreamResponse:
        try:
            wanted = msgspec.json.decode(await request.read() or b"{}", type=ClockRequest)
        except msgspec.DecodeError as error:
            return answer({"error": str(error)}, 400)
        venue = self._venue
        if wanted.at is not None and wanted.at.tzinfo is None:
            return answer({"error": "at needs an offset, such as 2026-12-20T00:00:00Z"}, 400)
        if wanted.at is not None:
            venue.set_clock(wanted.at.timestamp(), ageing=wanted.ageing)
        elif wanted.advance_seconds is not None:
            venue.set_clock(venue.clock.now() + wanted.advance_seconds, ageing=wanted.ageing)
        else:
            venue.set_clock(venue.clock.now() - venue.clock.offset)
        return await self.clock(request)
