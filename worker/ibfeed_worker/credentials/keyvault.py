"""Credentials from an Azure Key Vault, read by a short-lived process (see ``__main__``)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ibfeed_api.feed import KeyVault
from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials.request import DEFAULT_LIMITS, RequestLimits, VaultAnswer, VaultRequest
from ibfeed_worker.credentials.values import Credentials, CredentialsError
from ibfeed_worker.runtime.proxies import for_children

_COMMAND: Final = (sys.executable, "-m", "ibfeed_worker.credentials")


class KeyVaultSource:
    """An Azure Key Vault as the source of credentials.

    For every account it reads the secrets ``<usernamePrefix><i>`` and ``<passwordPrefix><i>`` again. ``limits.total``
    is the time limit of the whole read.
    """

    def __init__(
        self, vault: KeyVault, *, namespace: str, extra_ca: Path | None, limits: RequestLimits = DEFAULT_LIMITS
    ) -> None:
        self._vault = vault
        self._namespace = namespace
        self._extra_ca = extra_ca
        self._limits = limits

    async def read(self, index: int) -> Credentials:
        request = VaultRequest(
            vault=self._vault,
            index=index,
            namespace=self._namespace,
            extra_ca=None if self._extra_ca is None else str(self._extra_ca),
            limits=self._limits,
        )
        answer = await self._ask(request)
        if answer.failure is not None:
            failure = answer.failure
            raise CredentialsError(failure.reason, failure.message, retryable=failure.retryable)
        return Credentials(answer.username or "", answer.password or "")

    async def _ask(self, request: VaultRequest) -> VaultAnswer:
        # Its temporary files are in a folder of ours: it is killed when a read is cancelled, and would leave them
        # behind.
        with tempfile.TemporaryDirectory(prefix="ibfeed-vault-") as folder:
            # A session of its own, so that an `az` that it started ends with it.
            process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**for_children(os.environ), "TMPDIR": folder},
                start_new_session=True,
            )
            try:
                output, _ = await asyncio.wait_for(
                    process.communicate(msgspec.json.encode(request)), self._limits.total
                )
            except TimeoutError:
                raise self._error(f"reading {self._vault.url} took longer than {self._limits.total:g} s") from None
            finally:
                await _end(process)
        try:
            return msgspec.json.decode(output, type=VaultAnswer)
        except msgspec.DecodeError:
            code = process.returncode
            raise self._error(
                f"the process that reads {self._vault.url} ended with {code} and no answer; look for too little memory"
            ) from None

    @staticmethod
    def _error(message: str) -> CredentialsError:
        return CredentialsError(Reason.VAULT_UNREACHABLE, message, retryable=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process and everything that it started. A cancelled or timed-out read leaves nothing behind."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
