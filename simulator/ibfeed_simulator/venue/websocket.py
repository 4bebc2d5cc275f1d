"""``/v1/api/ws``: from the greeting to the last command."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from ibfeed_simulator.market.exchange import Instrument
from ibfeed_simulator.venue import account_topics, balances, bars, frames
from ibfeed_simulator.venue.connection import Connection
from ibfeed_simulator.venue.cookies import session_of
from ibfeed_simulator.venue.faults import Condition, number
from ibfeed_simulator.venue.sessions import SsoSession
from ibfeed_simulator.venue.streamer import PHASES
from ibfeed_simulator.venue.venue import Venue

_TIC_REPLIES: Final = 4  # observed once: four identical replies
_MAX_COMMAND: Final = 65_536
_UNKNOWN_TOPIC: Final = 1
_NO_BRIDGE: Final = 2
_BAD_CONTRACT: Final = 3
_LIMIT: Final = 4
# These topics send nothing; for orders, because there are none.
_QUIET_TOPICS: Final = frozenset({"sor", "uor", "utr", "upl", "act", "blt", "ntf", "sts"})
_ACCOUNT_TOPICS: Final = frozenset({"spl", "ssd", "sld", "str"})
# Topics that need the brokerage session.
_BROKERAGE: Final = frozenset({"smd", "sbd", "smh", "sor", "str"})
_GOODBYES: Final = {"usd": "unsubscribed from summary", "uld": "unsubscribed from ledger"}


class WebsocketHandler:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False, max_msg_size=_MAX_COMMAND)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        address = request.remote or ""
        venue = self._venue
        session = session_of(request, venue.sessions)
        phase = zlib.crc32((session.tickle_id if session else address).encode()) % PHASES
        connection = Connection(socket, transport, address, phase)
        venue.streamer.add(connection)
        try:
            if session is None:
                connection.send({"message": "waiting for session"})
            else:
                self._greet(connection, session)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._command(connection, message.data)
                elif message.type is WSMsgType.BINARY:
                    self._command(connection, message.data.decode("utf-8", "replace"))
                else:
                    break
        finally:
            venue.streamer.remove(connection)
        return socket

    def _greet(self, connection: Connection, session: SsoSession) -> None:
        connection.attach(session)
        conditions, username = self._venue.conditions, session.user.username
        if conditions.take_fault(Condition.KILL_GATEWAY, username):
            self._venue.kill_gateway(username)
            return
        if conditions.active(Condition.HANG, username):
            return
        fragmented = conditions.active(Condition.FRAGMENTED, username)
        connection.fragment_size = int(number(fragmented.value, 100)) if fragmented else None
        for frame in self._venue.connected_frames(session):
            connection.send(frame)

    def _command(self, connection: Connection, text: str) -> None:  # noqa: C901 - one arm for each command
        venue, session = self._venue, connection.session
        if session is None:
            if (found := self._named_session(text)) is not None:
                self._greet(connection, found)
            else:
                connection.send({"message": "waiting for session"})
            return
        if venue.conditions.active(Condition.HANG, session.user.username):
            return
        if text == "tic":
            reply = frames.encode(
                {"topic": "tic", "alive": True, "id": session.tickle_id, "lastAccessed": venue.clock.now_ms()}
            )
            for _ in range(_TIC_REPLIES):
                connection.send_text(reply)
            return
        if text == "ech+hb":
            connection.send_text(b"ech+hb")
            return
        topic, _, rest = text.partition("+")
        if topic in _BROKERAGE and not session.authenticated:
            connection.send({"error": "Bad Request: no bridge", "code": _NO_BRIDGE})
        elif topic == "smd":
            self._subscribe(connection, session, rest)
        elif topic == "umd":
            conid = _conid(rest.partition("+")[0])
            if conid is not None and not venue.conditions.take_fault(Condition.DEAF, session.user.username):
                venue.streamer.unsubscribe(connection, conid)
        elif topic == "sbd":
            self._open_book(connection, session, rest)
        elif topic == "ubd":
            venue.streamer.close_book(connection)
        elif topic == "smh":
            self._history(connection, rest)
        elif topic == "umh":
            connection.send({"message": f"Unsubscribed {rest}"})
        elif topic in _ACCOUNT_TOPICS:
            self._tell_account(connection, session, topic, rest)
        elif topic in _GOODBYES:
            if topic == "uld":
                connection.ledger = []
            connection.send({"result": _GOODBYES[topic]})
        elif topic not in _QUIET_TOPICS:
            connection.send({"error": f"Topic unknown {text[:80]}", "code": _UNKNOWN_TOPIC})

    def _named_session(self, text: str) -> SsoSession | None:
        """Return the session that a first frame names: ``{"session": "<id from tickle>"}``."""
        try:
            document = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return None
        name = document.get("session") if isinstance(document, dict) else None
        return self._venue.sessions.by_tickle_id(name) if isinstance(name, str) else None

    def _subscribe(self, connection: Connection, session: SsoSession, rest: str) -> None:
        venue = self._venue
        target, _, arguments = rest.partition("+")
        conid = _conid(target)
        fields = _fields(arguments)
        if conid is None or fields is None:
            connection.send({"error": f"Bad Request: smd+{rest[:80]}", "code": _BAD_CONTRACT})
            return
        refused = venue.conditions.active(Condition.REFUSE_SUBSCRIPTION, session.user.username)
        if refused is not None and (refused.value is None or str(refused.value) == str(conid)):
            venue.streamer.unsubscribe(connection, conid)
            connection.send({"topic": f"smd+{conid}", "error": "No contract found", "code": _BAD_CONTRACT})
            return
        new = conid not in connection.subscriptions
        if new and venue.streamer.lines_used(session.user.username) >= venue.settings.lines:
            if venue.settings.over_limit == "error":
                connection.send({"topic": f"smd+{conid}", "error": "max market data lines exceeded", "code": _LIMIT})
            return
        if not venue.streamer.subscribe(connection, conid, fields):
            connection.send({"topic": f"smd+{conid}", "error": "unknown contract", "code": _BAD_CONTRACT})

    def _open_book(self, connection: Connection, session: SsoSession, rest: str) -> None:
        """Open a ladder for ``ACCT+CONID[+EXCHANGE]``. An account has one, over all its websockets."""
        venue = self._venue
        parts = rest.split("+")
        conid = _conid(parts[1]) if len(parts) in (2, 3) else None
        if conid is None or parts[0] != session.user.account_id:
            connection.send({"error": f"Bad Request: sbd+{rest[:80]}", "code": _BAD_CONTRACT})
            return
        if venue.conditions.active(Condition.REFUSE_LADDER, session.user.username):
            connection.send({"topic": f"sbd+{rest}", "error": "no market data permissions", "code": _BAD_CONTRACT})
            return
        others = [c for c in venue.streamer.of(session.user.username) if c.ladder is not None]
        if any(c.ladder is not None and (c is not connection or c.ladder.conid != conid) for c in others):
            if venue.settings.over_limit == "error":
                connection.send({"topic": f"sbd+{rest}", "error": "another ladder is open", "code": _LIMIT})
            return
        if not venue.streamer.open_book(connection, f"sbd+{rest}", conid):
            connection.send({"topic": f"sbd+{rest}", "error": "unknown contract", "code": _BAD_CONTRACT})

    def _tell_account(self, connection: Connection, session: SsoSession, topic: str, rest: str) -> None:
        user, now = session.user, self._venue.clock.now()
        if topic == "spl":
            connection.send(account_topics.profit_and_loss(user))
            return
        if topic == "str":
            connection.send(account_topics.trades())
            return
        try:
            wanted = account_topics.asked(rest, user)
        except account_topics.TopicError:
            connection.send({"error": f"Bad Request: {topic}+{rest[:80]}", "code": _BAD_CONTRACT})
            return
        if topic == "ssd":
            connection.send(account_topics.summary(user, wanted, now))
            return
        connection.ledger = balances.ledger_rows(user.account_id, now, wanted.keys, wanted.fields)
        connection.send(account_topics.ledger(user, connection.ledger))

    def _history(self, connection: Connection, rest: str) -> None:
        target, _, arguments = rest.partition("+")
        conid, asked = _conid(target), _texts(arguments)
        exchange = self._venue.exchange
        instrument: Instrument | None = exchange.instrument(conid) if conid is not None else None
        if instrument is None or asked is None:
            connection.send({"error": f"Bad Request: smh+{rest[:80]}", "code": _BAD_CONTRACT})
            return
        try:
            found = bars.history(exchange, instrument, asked, self._venue.clock.now())
        except bars.SpanError as span:
            connection.send({"error": f"Bad Request: {span} is no period or bar", "code": _BAD_CONTRACT})
            return
        connection.send({**found, "topic": f"smh+{conid}"})


def _conid(text: str) -> int | None:
    """Return the conid of ``265598`` or ``265598@SMART``."""
    digits = text.partition("@")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _texts(arguments: str) -> dict[str, str] | None:
    """Return a JSON object's values as texts. None: it is no object."""
    try:
        document = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return None
    return {key: str(value) for key, value in document.items()} if isinstance(document, dict) else None


def _fields(arguments: str) -> frozenset[str] | None:
    """Return the field ids of ``{"fields": [...]}``. None: the text has another form."""
    try:
        document = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return None
    fields = document.get("fields", []) if isinstance(document, dict) else None
    if not isinstance(fields, list):
        return None
    wanted = {str(field) for field in fields}
    return frozenset(wanted | {"87_raw"}) if "87" in wanted else frozenset(wanted)
