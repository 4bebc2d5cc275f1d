"""The log of all parts: JSON on stdout, one line for each event. Nothing here may be called once per tick.

The same key means the same in both parts: ``namespace``, ``feed``, ``worker`` (the shard's name, as ``energy-0``),
``account`` (the index), ``conid``. A worker's lines all have the first three.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Final

from ibfeed_api.worker_pod import LogLevel

_OWN: Final = ("ibfeed_api", "ibfeed_operator", "ibfeed_platform", "ibfeed_worker")
_LEVELS: Final = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}
_FIELDS: Final = "ibfeed_fields"
_context: Final[dict[str, object]] = {}  # the fields of every line
# Libraries whose own messages hold requests and header values, or tell each change of an object.
_CHATTY: Final = (
    "aiohttp.access",
    "asyncio",
    "azure",
    "httpcore",
    "httpx",
    "kopf.objects",
    "msal",
    "picows",
    "selenium",
    "urllib3",
)


class Log:
    """A named logger of events: ``log.info("logged in", account=3)``. Values must never be secrets."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        self._logger.debug(event, extra={_FIELDS: fields})

    def info(self, event: str, **fields: object) -> None:
        self._logger.info(event, extra={_FIELDS: fields})

    def warning(self, event: str, **fields: object) -> None:
        self._logger.warning(event, extra={_FIELDS: fields})

    def error(self, event: str, *, cause: BaseException | None = None, **fields: object) -> None:
        self._logger.error(event, extra={_FIELDS: fields}, exc_info=cause)


class JsonLines(logging.Formatter):
    """The format of a log line: one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_context,
        }
        line.update(getattr(record, _FIELDS, {}))
        if record.exc_info and record.exc_info[0]:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


def set_level(level: LogLevel) -> None:
    """Set the level from now on.

    Libraries never log below ``Info``, since at ``Debug`` they would log requests and headers.
    """
    number = _LEVELS[level]
    for name in _OWN:
        logging.getLogger(name).setLevel(number)
    logging.getLogger().setLevel(max(number, logging.INFO))
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def set_context(**names: str) -> None:
    """Name what this process is in every line from now on, such as a worker by namespace, feed and worker."""
    _context.update(names)


def set_up() -> None:
    """Send every record of the process to stdout as JSON; chatty libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    set_level(LogLevel.INFO)
