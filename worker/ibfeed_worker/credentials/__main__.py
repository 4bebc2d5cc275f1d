"""The reader process: one request on stdin, one answer on stdout, then the end.

It is a separate process so that it can be killed whatever the SDK, DNS or ``az`` waits for. Tokens, the SDK's caches
and its memory end with it. Measured: the Azure clients add 6 to 13 MiB to a worker for good, of its 120. This process
peaks at 52 MiB and takes 0.7 s, a few times a day.
"""

from __future__ import annotations

import logging
import sys

import msgspec

from ibfeed_worker.credentials.request import Failure, VaultAnswer, VaultRequest
from ibfeed_worker.credentials.values import CredentialsError
from ibfeed_worker.runtime.processes import harden


def _answer(request: VaultRequest) -> VaultAnswer:
    # A late import, so that even a broken installation gives an answer and not only a dead process.
    from ibfeed_worker.credentials import failures, reader

    try:
        credentials = reader.read_vault(request)
    except CredentialsError as error:
        failed = error
    except Exception as error:  # noqa: BLE001 - a traceback could quote a body; type and place are reported instead
        failed = failures.unexpected(error, f"reading {request.vault.url}")
    else:
        return VaultAnswer(username=credentials.username, password=credentials.password)
    return VaultAnswer(failure=Failure(reason=failed.reason, message=failed.message, retryable=failed.retryable))


def main() -> int:
    harden()
    logging.disable(logging.CRITICAL)  # the SDK logs requests and refusals; the answer says all there is to say
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=VaultRequest)
    sys.stdout.buffer.write(msgspec.json.encode(_answer(request)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
