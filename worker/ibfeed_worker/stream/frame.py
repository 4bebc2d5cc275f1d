"""Websocket messages as typed frames: a quick decoder for what IB documents, and a lenient one for the rest."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from ibfeed_worker.ticks import SmdFrame

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LONGEST_INT: Final = 18
_LONGEST_ERROR: Final = 160


class Frame(SmdFrame, kw_only=True, gc=False):
    """Any message of IB's websocket.

    Fields that we do not look at are skipped unread; ``args`` and ``data`` stay text.
    """

    args: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    message: str | None = None
    error: str | None = None
    is_paper: bool | None = msgspec.field(name="isPaper", default=None)


class UnreadableFrameError(ValueError):
    """The message is no JSON object. ``incomplete``: it may be the first part of one that was cut in pieces."""

    def __init__(self, *, incomplete: bool) -> None:
        super().__init__("incomplete" if incomplete else "malformed")
        self.incomplete: Final = incomplete


# Decodes a message as IB documents it, in one step. Raises one of UNREADABLE for any other one.
read: Final = msgspec.json.Decoder(Frame).decode
# The same fields, each as its JSON text. It takes numbers where IB documents text, and the other way round.
_Loose: Final = msgspec.defstruct(
    "_Loose",
    [
        (f.name, msgspec.Raw, msgspec.field(name=f.encode_name, default=msgspec.Raw()))
        for f in msgspec.structs.fields(Frame)
    ],
    kw_only=True,
)
_loose_decoder: Final = msgspec.json.Decoder(_Loose)
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(payload: bytes) -> Frame:
    """Read one message. Raises UnreadableFrameError, and no other error."""
    try:
        return read(payload)
    except UNREADABLE:
        return _decode_loosely(payload)


def _decode_loosely(payload: bytes) -> Frame:
    # The gateway recodes text as ISO-8859-1, so a name with an accent is no valid UTF-8.
    cleaned = payload.decode("utf-8", errors="replace").encode()
    try:
        loose: Any = _loose_decoder.decode(cleaned)
        values = {name: _READERS[name](bytes(getattr(loose, name))) for name in _READERS}
    except UNREADABLE:
        raise UnreadableFrameError(incomplete=_is_cut(cleaned)) from None
    known: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    return Frame(**known)


def _is_cut(payload: bytes) -> bool:
    """Whether a JSON object begins here and does not end."""
    if not payload.lstrip().startswith(b"{"):
        return False
    outside = _STRING.sub(b"", payload)
    return b'"' in outside or outside.count(b"{") + outside.count(b"[") > outside.count(b"}") + outside.count(b"]")


def tidy(error: str) -> str:
    """Return IB's words for a person, on one line and no longer than a status can carry."""
    return " ".join(error.split())[:_LONGEST_ERROR] or "no reason given"


def _text(raw: bytes) -> str | None:
    """Return a JSON string's content or a number's digits as they were written; None for anything else."""
    if raw.startswith(b'"'):
        return msgspec.json.decode(raw, type=str)
    return raw.decode() if raw[:1].isdigit() or raw.startswith(b"-") else None


def _integer(raw: bytes) -> int | None:
    text = _text(raw)
    if text is None or len(text) > _LONGEST_INT or not text.isascii() or not text.isdigit():
        return None
    return int(text)


def _flag(raw: bytes) -> bool | None:
    return {b"true": True, b"false": False}.get(raw)


def _raw(raw: bytes) -> msgspec.Raw | None:
    return msgspec.Raw(raw) if raw else None


_READERS: Final = {
    field.name: {"updated": _integer, "is_paper": _flag, "args": _raw, "data": _raw}.get(field.name, _text)
    for field in msgspec.structs.fields(Frame)
}


class Joiner:
    """A joiner of messages that the gateway delivered in several pieces: JSON is joined until it parses."""

    LARGEST: Final = 256 * 1024  # bytes
    LONGEST: Final = 2.0  # seconds

    def __init__(self) -> None:
        self._pieces = b""
        self._since = 0.0
        self.malformed = 0  # messages given up so far

    @property
    def waiting(self) -> bool:
        """Whether pieces wait for the rest of their message."""
        return bool(self._pieces)

    def add(self, payload: bytes, now: float) -> Frame | None:
        """Return the frame that ``payload`` is or completes; None if there is none (yet).

        ``now``: monotonic seconds.
        """
        if self._pieces:
            frame = self._complete(payload, now)
            if frame is not None or self._pieces:
                return frame
        try:
            return decode(payload)
        except UnreadableFrameError as problem:
            if problem.incomplete and len(payload) < self.LARGEST:
                self._pieces, self._since = payload, now
            else:
                self.malformed += 1
            return None

    def _complete(self, payload: bytes, now: float) -> Frame | None:
        joined = self._pieces + payload
        try:
            frame = decode(joined)
        except UnreadableFrameError as problem:
            late = now - self._since > self.LONGEST
            if problem.incomplete and not late and len(joined) < self.LARGEST and not _is_whole(payload):
                self._pieces = joined
                return None
            self._pieces = b""
            self.malformed += 1  # the waiting pieces were no beginning, or the end never came
            return None
        self._pieces = b""
        if _is_spliced(joined, frame):
            self.malformed += 1
            return None
        return frame


def _is_spliced(joined: bytes, frame: Frame) -> bool:
    """Whether the beginning of one message and the end of another make an object by chance.

    Such an object says something twice, or speaks of two contracts. One contract's prices would go out as the other's.
    """
    said = frame.topic.partition("+")[2]
    if frame.topic.startswith("smd+") and frame.conid is not None and said.partition("@")[0] != str(frame.conid):
        return True
    try:
        json.loads(joined.decode("utf-8", errors="replace"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        return True
    return False


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name comes twice")


def _is_whole(payload: bytes) -> bool:
    """Whether this is a message by itself. An object without the fields that every message has is a piece of one."""
    try:
        frame = decode(payload)
    except UnreadableFrameError:
        return False
    return bool(frame.topic or frame.message or frame.error)
