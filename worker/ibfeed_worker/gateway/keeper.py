"""The keeper of the gateway: at most one runs, and a dead one is started again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from ibfeed_api.log import Log
from ibfeed_api.reasons import Reason
from ibfeed_worker.errors import SessionError
from ibfeed_worker.gateway.distribution import DistributionError
from ibfeed_worker.gateway.leftover import PortTakenError
from ibfeed_worker.gateway.pin import CertificateError
from ibfeed_worker.gateway.process import Gateway, GatewayFailedError, GatewaySettings, start
from ibfeed_worker.gateway.tail import Sign
from ibfeed_worker.gateway.tunnel import Tunnel, TunnelClosedError
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.runtime.proxies import HttpProxy, ProxyError, proxy_for
from ibfeed_worker.runtime.tasks import cancel

_log: Final = Log(__name__)
_MAY_BE_THE_PROXY: Final = (Reason.UPSTREAM_UNREACHABLE, Reason.LOGIN_TIMEOUT, Reason.GATEWAY_SILENT)


StartGateway = Callable[[GatewaySettings, Callable[[Sign], None]], Coroutine[Any, Any, Gateway]]


class GatewayKeeper:
    """The one gateway of the worker, with the tunnel that it may need."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics, start: StartGateway = start) -> None:
        self._settings = settings
        self._metrics = metrics
        self._start_process = start
        self._starting: asyncio.Task[Gateway] | None = None
        self._tunnel: Tunnel | None = None

    @property
    def is_up(self) -> bool:
        """Whether a gateway already listens."""
        return self._starting is not None and self._starting.done() and not self._has_died(self._starting)

    def start_ahead(self) -> None:
        """Start a gateway in the background if there is none."""
        if self._starting is None:
            self._metrics.gateway_starts.inc()
            self._starting = asyncio.create_task(self._start(), name="gateway start")

    async def _start(self) -> Gateway:
        """Start a gateway. Raises ProxyError, TunnelClosedError, and what ``start`` raises."""
        if self._tunnel is None and (proxy := self._proxy()) is not None:
            self._tunnel = Tunnel(proxy, self._settings.upstream)
        if self._tunnel is not None:
            await self._tunnel.open()
        return await self._start_process(replace(self._settings, tunnel=self._tunnel), self._on_line)

    def _proxy(self) -> HttpProxy | None:
        upstream = urlsplit(self._settings.upstream)
        return proxy_for(upstream.hostname or "", upstream.port or 443, os.environ)

    def explained(self, reason: str, message: str) -> str:
        """Return ``message``, with the proxy's part in it if IB is behind one."""
        trouble = self._tunnel.trouble if self._tunnel is not None else ""
        return f"{trouble} ({message})" if trouble and reason in _MAY_BE_THE_PROXY else message

    async def running(self) -> Gateway:
        """Return the running gateway. Raises SessionError."""
        if self._starting is not None and self._starting.done() and self._has_died(self._starting):
            await self.stop()
        self.start_ahead()
        assert self._starting is not None  # noqa: S101 - begin() saw to it
        try:
            return await asyncio.shield(self._starting)
        except PortTakenError as error:
            reason, text = Reason.GATEWAY_PORT_TAKEN, str(error)
        except (DistributionError, CertificateError) as error:
            reason, text = Reason.GATEWAY_BROKEN, str(error)
        except (ProxyError, TunnelClosedError) as error:
            reason, text = Reason.UPSTREAM_UNREACHABLE, str(error)
        except (GatewayFailedError, OSError) as error:
            reason, text = Reason.GATEWAY_DIED, f"the gateway did not start: {error or type(error).__name__}"
        self._starting = None
        raise SessionError(reason, text)

    async def close(self) -> None:
        """Stop the gateway and its tunnel for good."""
        await self.stop()
        if self._tunnel is not None:
            await self._tunnel.close()

    async def stop(self) -> None:
        starting, self._starting = self._starting, None
        if starting is None:
            return
        if not starting.done():
            await cancel(starting)  # start() kills its process
        elif not starting.cancelled() and starting.exception() is None:
            await starting.result().stop()

    def _on_line(self, sign: Sign) -> None:
        self._metrics.gateway_log_lines.labels(sign=sign.value).inc()

    @staticmethod
    def _has_died(started: asyncio.Task[Gateway]) -> bool:
        return started.cancelled() or started.exception() is not None or started.result().died.is_set()
