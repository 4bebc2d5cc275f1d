"""The venue as a whole: its state, and its reactions when sessions come, change and go."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ibfeed_simulator.market import replay
from ibfeed_simulator.market.catalogue import BY_ROOT
from ibfeed_simulator.market.exchange import Exchange
from ibfeed_simulator.venue.clock import Clock, DailyReset
from ibfeed_simulator.venue.faults import Action, Condition, Conditions, Perform
from ibfeed_simulator.venue.frames import Frame
from ibfeed_simulator.venue.pacing import Pacing
from ibfeed_simulator.venue.sessions import Sessions, SsoSession, Status
from ibfeed_simulator.venue.settings import Settings
from ibfeed_simulator.venue.streamer import Streamer
from ibfeed_simulator.venue.truth import Truth

SERVER_NAME = "JifN19053"
SERVER_VERSION = "Build 10.45.1a, Apr 28, 2026 4:10:22 PM"
MAC = "98:F2:B3:23:BF:A0"
# The stand-in gateway exits when it reads this in a header, or as the reason of a close frame.
EXIT_HEADER = "X-Simulator-Fault"
EXIT_VALUE = "exit"
_BIG_FRAME = 70_000  # bytes; closes the socket of a real gateway
_SWEEP_SECONDS = 5.0


class Venue:
    """One venue with all its state. ``run`` keeps it going."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.conditions = Conditions()
        self.pacing = Pacing(settings.penalty_seconds)
        self.truth = Truth(settings.truth_file)
        self.sessions = Sessions(self._on_status, self._on_end)
        reset = settings.daily_reset
        self._reset = DailyReset(reset, self.clock.now()) if reset is not None else None
        self.exchange = Exchange(
            settings.seed,
            settings.mode,
            settings.hours,
            self.clock.now,
            self._recording(),
            replay_speed=settings.replay_speed,
            interval=settings.interval,
            slower=settings.slower,
        )
        self.streamer = Streamer(settings, self.exchange, self.clock, self.conditions, self.truth)
        self.actions: dict[Action, Perform] = {
            Action.DROP_WEBSOCKET: self._drop,
            Action.ABORT_WEBSOCKET: self._abort,
            Action.EXPIRE_BROKERAGE: self._expire_brokerage,
            Action.EXPIRE_SSO: self._expire_sso,
            Action.DAILY_RESET: self._daily_reset,
            Action.EXPIRE_SUBSCRIPTIONS: self._expire_subscriptions,
            Action.FREEZE: self._freeze,
            Action.COMPETE: self._compete,
            Action.YIELD: self._yield,
            Action.UNLOCK: self._unlock,
            Action.PENALTY: self._penalty,
            Action.FORGIVE: self._forgive,
            Action.GARBAGE_FRAME: self._garbage,
            Action.NON_UTF8_FRAME: self._non_utf8,
            Action.BIG_FRAME: self._big,
        }

    def _recording(self) -> replay.Recording | None:
        if not self.settings.replay:
            return None
        folder: Path = self.settings.data or replay.DATA
        return replay.load(folder, BY_ROOT["ES"][0].tick)

    async def run(self) -> None:
        """Stream and sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.streamer.run())
            tasks.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.look_after_sessions()

    def look_after_sessions(self) -> None:
        """End sessions that are too old, idle, or met by the daily reset."""
        if self._reset is not None and self._reset.is_over(self.clock.now()):
            self._daily_reset(None, None)
        self.sessions.sweep(self.clock.now())

    def close(self) -> None:
        for connection in self.streamer.connections:
            connection.close()
        self.truth.close()

    def set_clock(self, epoch_seconds: float, *, ageing: bool = False) -> None:
        """Set the clock. Contracts age by the jump, sessions only if ``ageing``. No session counts as idle for it."""
        shift = epoch_seconds - self.clock.now()
        self.clock.set(epoch_seconds)
        for session in self.sessions.all():
            session.created += 0.0 if ageing else shift
            session.last_request += shift
        if self._reset is not None and not ageing:
            self._reset.skip_to(self.clock.now())
        for connection in self.streamer.connections:
            for subscription in connection.subscriptions.values():
                subscription.expires += shift
        self.exchange.clock_moved()

    def connected_frames(self, session: SsoSession) -> list[Status]:
        """Return the first frames of a websocket with a session, in IB's order."""
        paper = self.is_paper(session)
        greeting: list[Status] = [
            {"topic": "system", "success": session.user.username, "isFT": False, "isPaper": paper}
        ]
        if session.authenticated:
            greeting.append({"topic": "act", "args": self.accounts(session)})
        greeting.append(
            {
                "topic": "sts",
                "args": {
                    "connected": session.connected,
                    "authenticated": session.authenticated,
                    "established": session.authenticated,
                    "competing": session.competing,
                    "message": "",
                    "fail": "",
                    "serverName": SERVER_NAME,
                    "serverVersion": SERVER_VERSION,
                    "username": session.user.username,
                },
            }
        )
        return greeting

    def is_paper(self, session: SsoSession) -> bool:
        return session.user.paper and not self.conditions.active(Condition.NOT_PAPER, session.user.username)

    def accounts(self, session: SsoSession) -> dict[str, object]:
        """Return the answer to ``/iserver/accounts``, which is also ``args`` of the ``act`` frame."""
        account = session.user.account_id
        return {
            "accounts": [account],
            "acctProps": {
                account: {
                    "hasChildAccounts": False,
                    "supportsCashQty": True,
                    "liteUnderPro": False,
                    "noFXConv": False,
                    "isProp": False,
                    "supportsFractions": True,
                    "allowCustomerTime": False,
                    "autoFx": False,
                }
            },
            "aliases": {account: account},
            "allowFeatures": {
                "showGFIS": True,
                "showEUCostReport": False,
                "allowEventContract": True,
                "allowFXConv": True,
                "allowFinancialLens": False,
                "allowMTA": True,
                "allowTypeAhead": True,
                "allowEventTrading": True,
                "snapshotRefreshTimeout": 30,
                "liteUser": False,
                "showWebNews": True,
                "research": True,
                "debugPnl": True,
                "showTaxOpt": True,
                "showImpactDashboard": True,
                "allowDynAccount": False,
                "allowCrypto": False,
                "allowedAssetTypes": "STK,CFD,OPT,FOP,WAR,FUT,BAG,PDC,CASH,IND,BOND,BILL,FUND,SLB,News,CMDTY",
            },
            "chartPeriods": {"STK": ["*"], "FUT": ["*"], "OPT": ["2h", "1d", "2d", "1w", "1m"]},
            "groups": [],
            "profiles": [],
            "selectedAccount": account,
            "serverInfo": {"serverName": SERVER_NAME, "serverVersion": SERVER_VERSION},
            "sessionId": session.act_id,
            "isFT": False,
            "isPaper": self.is_paper(session),
        }

    # News of sessions, told to their websockets.

    def _on_status(self, session: SsoSession, partial: Status) -> None:
        for connection in self.streamer.of(session.user.username):
            if connection.session is not session:
                continue
            if partial.get("authenticated") is False:
                self.streamer.unsubscribe_all(connection)
            connection.send({"topic": "sts", "args": partial})

    def _on_end(self, session: SsoSession) -> None:
        for connection in self.streamer.of(session.user.username):
            if connection.session is session:
                connection.close()

    # Actions of the fault table.

    def kill_gateway(self, username: str | None) -> int:
        """Kill the gateways of open websockets; return how many. Others are killed at their next call."""
        connections = self.streamer.of(username)
        for connection in connections:
            connection.close(f"{EXIT_HEADER}: {EXIT_VALUE}".encode())
        return len(connections)

    def _drop(self, username: str | None, _: float | None) -> int:
        connections = self.streamer.of(username)
        for connection in connections:
            connection.close()
        return len(connections)

    def _abort(self, username: str | None, _: float | None) -> int:
        connections = self.streamer.of(username)
        for connection in connections:
            connection.abort()
        return len(connections)

    def _expire_brokerage(self, username: str | None, _: float | None) -> int:
        sessions = [session for session in self.sessions.of(username) if session.authenticated]
        for session in sessions:
            self.sessions.lose_brokerage(session)
        return len(sessions)

    def _expire_sso(self, username: str | None, _: float | None) -> int:
        sessions = self.sessions.of(username)
        for session in sessions:
            self.sessions.end(session)
        return len(sessions)

    def _daily_reset(self, _: str | None, seconds: float | None) -> int:
        """Reset the sessions of all users, as IB resets a region."""
        self.conditions.set(Condition.MAINTENANCE, seconds=self.settings.reset_seconds if seconds is None else seconds)
        return self._expire_sso(None, None)

    def _expire_subscriptions(self, username: str | None, conid: float | None) -> int:
        connections = self.streamer.of(username)
        for connection in connections:
            if conid is None:
                self.streamer.unsubscribe_all(connection)
            else:
                self.streamer.unsubscribe(connection, int(conid))
        return len(connections)

    def _freeze(self, username: str | None, conid: float | None) -> int:
        frozen = [
            subscription
            for connection in self.streamer.of(username)
            for subscription in connection.subscriptions.values()
            if conid is None or subscription.conid == int(conid)
        ]
        for subscription in frozen:
            subscription.frozen = True
        return len(frozen)

    def _compete(self, username: str | None, _: float | None) -> int:
        usernames = {s.user.username for s in self.sessions.of(username)} if username is None else {username}
        for name in usernames:
            self.sessions.stranger_takes(name)
        return len(usernames)

    def _yield(self, username: str | None, _: float | None) -> int:
        return self.sessions.stranger_leaves(username)

    def _unlock(self, username: str | None, _: float | None) -> int:
        records = [record for name, record in self.sessions.records.items() if username in (None, name)]
        for record in records:
            record.locked, record.failed_logins = False, 0
        return len(records)

    def _penalty(self, username: str | None, seconds: float | None) -> int:
        addresses = {connection.address for connection in self.streamer.of(username)}
        for address in addresses:
            self.pacing.penalise(address, seconds)
        return len(addresses)

    def _forgive(self, username: str | None, _: float | None) -> int:
        count = len(self.pacing.state())
        self.pacing.forgive()
        return count

    def _garbage(self, username: str | None, _: float | None) -> int:
        return self._to_all(username, b'{"topic":"smd+1","31":"7')

    def _non_utf8(self, username: str | None, _: float | None) -> int:
        # It is good UTF-8 here. The gateway recodes text as ISO-8859-1, and the client gets a byte that is no UTF-8.
        notice = {"topic": "ntf", "args": [{"id": "1", "title": "caf\u00e9", "text": "na\u00efve \u00a3", "url": ""}]}
        return self._to_all(username, Frame.of(notice).payload)

    def _big(self, username: str | None, size: float | None) -> int:
        filler = "x" * int(size or _BIG_FRAME)
        return self._to_all(username, Frame.of({"topic": "blt", "args": {"id": "1", "message": filler}}).payload)

    def _to_all(self, username: str | None, payload: bytes) -> int:
        connections = self.streamer.of(username)
        for connection in connections:
            connection.send_text(payload)
        return len(connections)
