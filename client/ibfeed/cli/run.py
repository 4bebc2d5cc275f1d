"""``ibfeed run``: a source of events, a queue and a handler, declared by a file."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ibfeed.errors import ConfigurationError

if TYPE_CHECKING:
    from ibfeed.configuration import Configuration


def run(
    file: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="What to run. `${NAME}` is a variable's value.")],
) -> None:
    """Run a feed or a connector, a queue and a handler, as a file declares them. SIGTERM and Ctrl-C end it."""
    import asyncio

    from ibfeed.configuration import parse

    try:
        text = file.read_text()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}; name a file that can") from None
    configuration = parse(text, os.environ, str(file))
    sys.path.insert(0, str(file.resolve().parent))  # for the handler that the file names
    asyncio.run(_until_told(configuration))


async def _until_told(configuration: Configuration) -> None:
    """Run until the end or until a signal, which is no error."""
    import asyncio

    from ibfeed.runner import run as run_configuration

    running = asyncio.create_task(run_configuration(configuration))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
