"""``python -m ibfeed_simulator venue``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
from datetime import time
from pathlib import Path

import msgspec
from aiohttp import web

from ibfeed_simulator.venue import app, users
from ibfeed_simulator.venue.settings import Settings
from ibfeed_simulator.venue.venue import Venue

_log = logging.getLogger(__name__)
_SHUTDOWN_SECONDS = 3.0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ibfeed_simulator venue", description="Stand-in for api.ibkr.com.")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 - a server in a pod
    parser.add_argument("--port", type=int, default=8443, help="TLS port of the venue")
    parser.add_argument("--control-port", type=int, default=8081, help="plain HTTP port of the control API")
    parser.add_argument("--tls-cert", type=Path, required=True, help="PEM certificate chain")
    parser.add_argument("--tls-key", type=Path, required=True, help="PEM private key")
    parser.add_argument("--users", type=Path, required=True, help="JSON file of users")
    parser.add_argument("--seed", type=int, default=1, help="of the random walks")
    parser.add_argument("--mode", choices=("common", "phased"), default="common", help="how sessions are conflated")
    parser.add_argument("--hours", choices=("always", "exchange"), default="always", help="when the market is open")
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between updates of a front month")
    parser.add_argument("--slower", type=float, default=1.3, help="how much quieter each month further out is; 1: none")
    parser.add_argument("--data", type=Path, help="folder with another recording for ES")
    parser.add_argument("--no-replay", action="store_true", help="ES walks as every other root does")
    parser.add_argument("--replay-speed", type=float, default=1.0)
    parser.add_argument("--subscription-seconds", type=float, default=600.0, help="until a subscription expires")
    parser.add_argument("--lines", type=int, default=100, help="market data lines of an account")
    parser.add_argument("--over-limit", choices=("silence", "error"), default="silence")
    parser.add_argument("--penalty-seconds", type=float, default=900.0, help="of an address that broke the pacing")
    parser.add_argument("--daily-reset", type=time.fromisoformat, help="HH:MM in New York: sessions end; default never")
    parser.add_argument("--reset-seconds", type=float, default=60.0, help="of maintenance at each daily reset")
    parser.add_argument("--lock-after", type=int, default=5, help="wrong passwords in a row")
    parser.add_argument("--page-version", type=int, choices=(1, 2), default=2, help="of the login page")
    parser.add_argument("--typing-seconds", type=float, default=4.0, help="a form sent sooner after typing is refused")
    parser.add_argument("--truth-file", type=Path, help="append the ground truth to this file, too")
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> Settings:
    return Settings(
        users=users.load(options.users),
        seed=options.seed,
        mode=options.mode,
        hours=options.hours,
        interval=options.interval,
        slower=options.slower,
        data=options.data,
        replay=not options.no_replay,
        replay_speed=options.replay_speed,
        subscription_seconds=options.subscription_seconds,
        lines=options.lines,
        over_limit=options.over_limit,
        penalty_seconds=options.penalty_seconds,
        daily_reset=options.daily_reset,
        reset_seconds=options.reset_seconds,
        lock_after=options.lock_after,
        page_version=options.page_version,
        typing_seconds=options.typing_seconds,
        truth_file=options.truth_file,
    )


async def serve(options: argparse.Namespace) -> None:
    venue = Venue(settings_of(options))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(options.tls_cert, options.tls_key)
    runners = [
        web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handler_cancellation=True)
        for application in (app.public(venue), app.control(venue))
    ]
    for runner in runners:
        await runner.setup()
    await web.TCPSite(runners[0], options.host, options.port, ssl_context=tls, backlog=512).start()
    await web.TCPSite(runners[1], options.host, options.control_port).start()
    _log.info("venue listens on port %d, control API on port %d", options.port, options.control_port)
    running = asyncio.create_task(venue.run())
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    venue.close()
    for runner in runners:
        await runner.cleanup()
    if running.done():
        running.result()  # it only ends by an error, which has to be seen
    running.cancel()


def main(arguments: list[str]) -> int:
    """Run the venue. Return exit code 0 after SIGTERM, 2 if files are missing or broken."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    options = parse(arguments)
    try:
        asyncio.run(serve(options))
    except (OSError, msgspec.DecodeError, ValueError) as error:
        _log.error("cannot start: %s", error)
        return 2
    return 0
