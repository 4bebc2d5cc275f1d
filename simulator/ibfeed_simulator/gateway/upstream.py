"""REST calls to the upstream, as the real gateway makes them: with its cookies and name, and without a time limit."""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass
from typing import Final

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ibfeed_simulator.gateway.conf import Configuration
from ibfeed_simulator.gateway.cookies import CookieStore
from ibfeed_simulator.gateway.hosts import Resolver
from ibfeed_simulator.gateway.logs import cookies, messages, requests

AGENT: Final = "ClientPortalGW/1"
CA_VARIABLE: Final = "GATEWAY_UPSTREAM_CA"
EXIT_HEADER: Final = "X-Simulator-Fault"
EXIT_VALUE: Final = "exit"
EXIT_CODE: Final = 137  # that of a killed process


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: CIMultiDictProxy[str]
    body: bytes


def tls_context() -> ssl.SSLContext:
    """Trust the system's authorities, and those in the file that ``GATEWAY_UPSTREAM_CA`` names.

    Raises OSError or ssl.SSLError if the file is missing or holds no certificate.
    """
    context = ssl.create_default_context()
    extra = os.environ.get(CA_VARIABLE)
    if extra:
        context.load_verify_locations(extra)
    return context


def exit_as_told() -> None:
    """End the process as the venue's fault asks: without clean-up, as in a crash."""
    os._exit(EXIT_CODE)


class Upstream:
    def __init__(self, configuration: Configuration, cookies: CookieStore, tls: ssl.SSLContext) -> None:
        self._configuration = configuration
        self._cookies = cookies
        self.tls = tls
        self.resolver = Resolver()
        self._client = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(ssl=tls, limit=0, resolver=self.resolver),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )

    def headers(self) -> dict[str, str]:
        return {"User-Agent": AGENT, "Cookie": self._cookies.header()}

    async def call(self, method: str, path: str, body: bytes = b"", headers: CIMultiDict[str] | None = None) -> Answer:
        """Send one request. Redirects are not followed. Raises aiohttp.ClientError if there is no answer."""
        sent: CIMultiDict[str] = CIMultiDict(headers or {})
        sent.update({name: value for name, value in self.headers().items() if value})
        url = URL(self._configuration.remote + path, encoded=True)
        async with self._client.request(method, url, data=body, headers=sent, allow_redirects=False) as response:
            if response.headers.get(EXIT_HEADER) == EXIT_VALUE:
                exit_as_told()
            requests.info("-> %s %s,%d", method, path, response.status)
            messages.info("<- %d %s %s", response.status, method, path)
            if (set_cookies := response.headers.getall("Set-Cookie", [])) and cookies.isEnabledFor(logging.INFO):
                cookies.info("set cookies %s", set_cookies)
            self._cookies.store_set_cookies(set_cookies)
            return Answer(response.status, response.reason or "", response.headers, await response.read())

    async def api(self, method: str, endpoint: str, body: bytes = b"") -> Answer:
        """Make a call of the gateway's own, below the prefix that it uses upstream."""
        headers = CIMultiDict({"Content-Type": "application/json"}) if body else None
        return await self.call(method, self._configuration.api + endpoint, body, headers)

    async def close(self) -> None:
        await self._client.close()
