"""The connector: it keeps a websocket for each of its normalisers, and publishes their events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ibfeed.connectors.normaliser import Normaliser, Send
from ibfeed.errors import FrameError, MissingExtraError, VenueUnreachableError
from ibfeed.events import Status
from ibfeed.queues.protocols import Publisher

try:
    import aiohttp
except ImportError:
    raise MissingExtraError("aiohttp is not installed: pip install 'ibfeed[connectors]'") from None


@dataclass(frozen=True)
class Patience:
    """How long a connector waits.

    Args:
        connect_s: until a connection that is not made is given up.
        quiet_s: without any frame, after which a connection counts as lost.
        first_pause_s: before the second attempt. Each further pause is twice as long.
        longest_pause_s: the longest of them.
        attempts: that fail in a row, after which the connector gives up.
        settled_s: the age at which a connection ends such a row.
    """

    connect_s: float = 10.0
    quiet_s: float = 15.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    attempts: int = 10
    settled_s: float = 60.0

    def pause_s(self, failed: int) -> float:
        """Return the pause after so many failures in a row, from 1 on."""
        return min(self.first_pause_s * 2.0 ** min(failed - 1, 60), self.longest_pause_s)


class Connector:
    """The connections to a venue. It tells what happens to them by ``Status`` events.

    A full queue makes it wait, and so the venue. A venue that does not wait for slow readers ends the connection, and
    that is told as any other loss.
    """

    def __init__(
        self, normalisers: Sequence[Normaliser], publisher: Publisher, patience: Patience | None = None
    ) -> None:
        self._normalisers: Final = normalisers
        self._publisher: Final = publisher
        self._patience: Final = patience or Patience()

    async def run(self) -> None:
        """Publish events until cancelled. At its end, whatever it is, the queue is closed.

        Raises:
            VenueUnreachableError: too many attempts failed in a row.
            Error: of the publisher.
        """
        try:
            async with aiohttp.ClientSession() as session:
                tasks = [asyncio.create_task(self._keep(session, normaliser)) for normaliser in self._normalisers]
                try:
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
                for task in done:
                    task.result()
        finally:
            await self._publisher.close()

    async def _keep(self, session: aiohttp.ClientSession, normaliser: Normaliser) -> None:
        """Connect again and again. Raises VenueUnreachableError."""
        patience, failed = self._patience, 0
        while True:
            began = time.monotonic()
            cause = await self._listen(session, normaliser)
            for event in normaliser.disconnected(_now_ms()):
                await self._publisher.publish(event)
            failed = 1 if time.monotonic() - began >= patience.settled_s else failed + 1
            if failed >= patience.attempts:
                text = f"{failed} connections to {normaliser.url} failed in a row, the last one because {cause}"
                await self._report(normaliser, "given_up", text)
                raise VenueUnreachableError(f"{text}: check the address, the network, and the venue's status page")
            pause = patience.pause_s(failed)
            again = f"{cause}; attempt {failed + 1} of {patience.attempts} follows in {pause:g} s"
            await self._report(normaliser, "disconnected", again)
            await asyncio.sleep(pause)

    async def _listen(self, session: aiohttp.ClientSession, normaliser: Normaliser) -> str:
        """Publish the events of one connection; return why it ended."""
        try:
            async with asyncio.timeout(self._patience.connect_s):
                socket = await session.ws_connect(normaliser.url, max_msg_size=0)
        except TimeoutError:
            return f"no connection was made within {self._patience.connect_s:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return f"no connection was made ({error})"
        async with socket:
            await self._report(normaliser, "connected", normaliser.url)
            try:
                for frame in normaliser.subscriptions():
                    await socket.send_str(frame.decode())
                return await self._read(socket, normaliser)
            except TimeoutError:
                return f"no frame came for {self._patience.quiet_s:g} s"
            except (aiohttp.ClientError, OSError, FrameError) as error:
                return str(error)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, normaliser: Normaliser) -> str:
        while True:
            message = await socket.receive(timeout=self._patience.quiet_s)
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    frame = message.data.encode()
                case aiohttp.WSMsgType.BINARY:
                    frame = message.data
                case aiohttp.WSMsgType.ERROR:
                    return f"the connection broke ({socket.exception()})"
                case _:
                    return f"the venue closed the connection with code {socket.close_code}"
            for output in normaliser.normalise(frame, time.time_ns()):
                if isinstance(output, Send):
                    await socket.send_str(output.frame.decode())
                else:
                    await self._publisher.publish(output)

    async def _report(self, normaliser: Normaliser, kind: str, detail: str) -> None:
        status = Status(
            kind=kind,
            feed=normaliser.name,
            worker="",
            at_ms=_now_ms(),
            conid=None,
            symbol=None,
            epoch=None,
            detail=detail,
        )
        await self._publisher.publish(status)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
