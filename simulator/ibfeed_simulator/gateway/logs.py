"""The gateway's log files, written as ``root/logback.xml`` says.

The real one logs through logback. With its own configuration it writes each websocket frame, each cookie that the
upstream sets, and the cookies of each websocket. They go to ``logs/`` below its working directory, without a bound.
"""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

_ROOT: Final = "gateway-files"
_PACKAGE: Final = "ibgroup.web.core.clientportal.gw"
_LEVELS: Final = {"OFF": logging.CRITICAL + 1, "WARN": logging.WARNING, "TRACE": logging.DEBUG, "ALL": logging.DEBUG}
_UNITS: Final = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}

# Loggers have the names of the real gateway's classes that log these things.
requests: Final = logging.getLogger(f"{_ROOT}.{_PACKAGE}.services.BaseServiceProxy")
websocket: Final = logging.getLogger(f"{_ROOT}.{_PACKAGE}.http.GwWebsocketHandler")
cookies: Final = logging.getLogger(f"{_ROOT}.{_PACKAGE}.core.CookieManager")
messages: Final = logging.getLogger(f"{_ROOT}.HttpMessageLogger")


def open_logs(configuration: Path) -> None:
    """Set up logging by a ``logback.xml``: its appenders to files, their rolling and the levels.

    Without that file nothing is written. Raises OSError or xml.etree.ElementTree.ParseError if it cannot be read.
    """
    root = logging.getLogger(_ROOT)
    root.propagate = False
    if not configuration.is_file():
        root.setLevel(_LEVELS["OFF"])
        return
    document = ET.parse(configuration).getroot()  # noqa: S314 - a file of the distribution itself
    handlers = {appender.get("name", ""): _handler(appender) for appender in document.iter("appender")}
    for element in (*document.iter("root"), *document.iter("logger")):
        logger = logging.getLogger(".".join(filter(None, (_ROOT, element.get("name")))))
        logger.setLevel(_level(element.get("level", "DEBUG")))
        logger.propagate = element.tag == "logger" and element.get("additivity") != "false"
        for reference in element.iter("appender-ref"):
            if (handler := handlers.get(reference.get("ref", ""))) is not None:
                logger.addHandler(handler)


def _level(name: str) -> int:
    return _LEVELS.get(name) or int(getattr(logging, name, logging.DEBUG))


def _handler(appender: ET.Element) -> logging.Handler | None:
    pattern = appender.findtext(".//fileNamePattern")
    if pattern is None:
        return None
    path = Path(appender.findtext("file") or pattern.replace("%d{yyyy-MM-dd}", f"{datetime.now(UTC):%Y-%m-%d}"))
    path.parent.mkdir(exist_ok=True)
    most = _bytes(appender.findtext(".//maxFileSize") or "0")
    kept = int(appender.findtext(".//maxIndex") or 0)
    handler = RotatingFileHandler(path, maxBytes=most, backupCount=kept, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s : %(message)s"))
    return handler


def _bytes(text: str) -> int:
    number, unit = (text[:-2], text[-2:]) if text[-2:] in _UNITS else (text, "")
    return int(number) * _UNITS.get(unit, 1)
