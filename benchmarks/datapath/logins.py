"""The processor time of a login: Chromium, its driver and the process that steers them.

The page is the simulator's, with the elements of the real one.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec

from datapath.verdict import median
from ibfeed_api.feed import Login
from ibfeed_worker import login
from ibfeed_worker.gateway.process import Gateway, GatewaySettings, start
from ibfeed_worker.login.page import Outcome
from support.ports import free_port
from support.simulator import Venue, environment, unpacked_gateway

_BROWSER: Final = login.Browser(Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver"))
_LOGINS: Final = 3
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER
_SETTLE_S: Final = 2.0  # until the browser's processes have ended


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Key ``chromium_seconds_per_login``: the median of a few."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Venue(Path(folder)) as venue,
        mock.patch.dict(os.environ, {"PYTHONPATH": environment()["PYTHONPATH"]}),
    ):
        costs = asyncio.run(_logins(venue, Path(folder), say))
    return {"chromium_seconds_per_login": round(median(costs), 2), "login_runs_cpu_s": costs}


async def _logins(venue: Venue, folder: Path, say: Callable[[str], None]) -> list[float]:
    distribution, run = folder / "distribution", folder / "run"
    distribution.mkdir()
    run.mkdir()
    settings = GatewaySettings(
        folder=unpacked_gateway(distribution),
        run_folder=run,
        port=free_port(),
        upstream=venue.upstream,
        extra_ca=venue.ca,
        certificate=None,
    )
    gateway = await start(settings)
    costs = []
    try:
        for _ in range(_LOGINS):
            venue.fault("expire_sso")
            costs.append(round(await _cost(gateway, venue, folder), 2))
            say(f"a login: {costs[-1]:.1f} s of a processor")
    finally:
        await gateway.stop()
    return costs


async def _cost(gateway: Gateway, venue: Venue, folder: Path) -> float:
    # What the browser leaves behind comes to us and is waited for, so that its time counts.
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    before = _children_s()
    result = await login.log_in(
        _BROWSER,
        folder=folder,
        url=gateway.login_url,
        spki=gateway.tls.spki,
        username=venue.credentials["username-1"],
        password=venue.credentials["password-1"],
        login=msgspec.convert({"timeoutSeconds": 40}, Login),
        paper=True,
    )
    assert result.outcome is Outcome.SUCCEEDED, result
    deadline = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline:
        _bury()
        await asyncio.sleep(0.05)
    return _children_s() - before


def _bury() -> None:
    while os.waitpid(-1, os.WNOHANG)[0]:  # gateway and venue live on: there is always a child
        pass


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
