"""The login to IB through the gateway's web page, in a short-lived process with a real browser."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from ibfeed_api.feed import Login
from ibfeed_worker.account.login_record import SUBMIT_WAIT_S
from ibfeed_worker.login.page import Order, Outcome, Result, selectors
from ibfeed_worker.runtime.processes import kill_tree

_GRACE: Final = 25.0  # seconds beyond the login's own limit: browser start and end, and the wait for leave to submit
_PASSED_ON: Final = ("PATH", "LANG", "PYTHONPATH", "TZ")


@dataclass(frozen=True, slots=True)
class Browser:
    """The paths of the browser and its driver."""

    chromium: Path
    chromedriver: Path


async def _granted() -> None:
    """Grant leave at once: the default for a caller that does not decide."""


LogIn = Callable[..., Coroutine[Any, Any, Result]]  # with the arguments of ``log_in``


async def log_in(
    browser: Browser,
    *,
    folder: Path,
    url: str,
    spki: str,
    username: str,
    password: str,
    login: Login,
    paper: bool,
    submit_wait_s: float = SUBMIT_WAIT_S,
    may_submit: Callable[[], Awaitable[None]] = _granted,
) -> Result:
    """Try once to log in. The browser's files are in ``folder`` and gone afterwards.

    The credentials go through a pipe: no argument, variable or file ever holds them. ``may_submit`` is awaited just
    before the form is sent, when it is filled in and has waited. If it raises, the form is not sent, and the error is
    raised.
    """
    begun = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="login-", dir=folder))
    order = Order(
        url=url,
        spki=spki,
        username=username,
        password=password,
        selectors=selectors(login),
        paper=paper,
        timeout_s=login.timeout_seconds,
        submit_wait_s=submit_wait_s,
        chromium=str(browser.chromium),
        chromedriver=str(browser.chromedriver),
        profile=str(home / "profile"),
    )
    try:
        result = await _run(order, home, may_submit)
        return msgspec.structs.replace(result, seconds=result.seconds or round(time.monotonic() - begun, 3))
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


async def _run(order: Order, home: Path, may_submit: Callable[[], Awaitable[None]]) -> Result:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # With both paths given, Selenium must never look for a driver on the net.
    environment |= {"HOME": str(home), "TMPDIR": str(home), "SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ibfeed_worker.login",
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
    limit = order.timeout_s + order.submit_wait_s + _GRACE
    last = Result(outcome=Outcome.BROWSER_FAILED, text=f"the browser hung and was ended after {limit:g} s")
    try:
        async with asyncio.timeout(limit):
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            async for line in process.stdout:
                last = msgspec.json.decode(line, type=Result)
                if last.typed:
                    await may_submit()
                    process.stdin.write(b"\n")
            code = await process.wait()
    except TimeoutError:
        return last
    finally:
        if process.returncode is None:
            await asyncio.to_thread(kill_tree, process.pid)
            await process.wait()
    if code != 0:
        return Result(outcome=Outcome.BROWSER_FAILED, text=f"the login's process ended with {code}")
    return last
