"""The worker's process: hardening, logs, configuration and signals. The work itself is in ``worker.py``."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from ibfeed_api import log
from ibfeed_worker.runtime.gc_tuning import collect_rarely
from ibfeed_worker.runtime.processes import harden, run_as_init
from ibfeed_worker.runtime.stop import Stop

if TYPE_CHECKING:
    from ibfeed_worker.config import Config

_log: Final = log.Log(__name__)


def main() -> int:
    """Run the worker and return the process's exit status."""
    status = run_as_init()  # before anything large is loaded: PID 1 stays small
    if status is not None:
        return status
    harden()
    log.set_up()
    from ibfeed_worker import config
    from ibfeed_worker.worker import work

    try:
        settings = config.read(os.environ)
    except config.ConfigError as error:
        _log.error("bad configuration", message=str(error))
        return 2
    log.set_context(namespace=settings.namespace, feed=settings.feed, worker=settings.pod)
    collect_rarely()
    return asyncio.run(_until_stopped(work, settings))


async def _until_stopped(work: Callable[[Config, Stop], Awaitable[None]], settings: Config) -> int:
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.order)
    try:
        await work(settings, stop)
    except Exception as error:  # noqa: BLE001 - the last place that can say why; the container is started again
        _log.error("worker failed", cause=error)
        return 1
    return 0
