"""A sink's process as a pod runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ibfeed_api.sink import SETTINGS_VARIABLE
from support.own_topics import OwnTopics

POD = "latest-sink-a"
# A pod's API server speaks TLS and wants its token; this one does neither.
_RUN = """
import asyncio, os, sys
from ibfeed_api.backoff import Backoff
from ibfeed_api.log import set_up
from ibfeed_platform.sinks import run
from ibfeed_platform.sinks.spec import read_environment
from ibfeed_platform.sinks.status_api import ApiServer
set_up()
run.Backoff = lambda *_: Backoff(0.5, 0.5)
asyncio.run(run.operate(read_environment(os.environ), ApiServer(sys.argv[1])))
"""


def start_sink(
    own: OwnTopics, redis: dict[str, Any], *, api: str, files: Path, log: Path, port: int
) -> subprocess.Popen[bytes]:
    """Start the sink ``latest`` of feed ``energy`` to a Redis; return at once.

    Args:
        own: the feed's topics.
        redis: ``spec.redis``.
        api: address of the API server that takes its report.
        files: the root of the pod's files, such as its passwords.
        log: where it logs.
        port: of its probes and metrics.
    """
    topics = {
        "ticklast": {"name": own.topics.ticks},
        "l2Data": {"name": own.topics.books},
        "feedEvents": {"name": own.topics.events},
        "contracts": {"name": own.topics.contracts},
    }
    settings = {
        "sink": "latest",
        "group": own.name,
        "spec": {"feedRef": {"name": "energy"}, "redis": redis},
        "kafka": {"bootstrapServers": own.servers, "topics": topics},
    }
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "POD_NAME": POD,
        "POD_NAMESPACE": "markets",
        SETTINGS_VARIABLE: json.dumps(settings),
        "IBFEED_FILES": str(files),
        "IBFEED_HTTP_PORT": str(port),
    }
    with log.open("wb") as out:
        return subprocess.Popen([sys.executable, "-c", _RUN, api], env=environment, stdout=out, stderr=out)
