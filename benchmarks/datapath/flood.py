"""``python -m datapath.flood``: sends frames at a given pace, or as fast as the client gets them onto Kafka.

Then so many are under way at most; so no queue overflows, and the client is the one that is measured.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from datapath.frames import Market
from datapath.shared import Shared
from datapath.wire import Server, framed

_AT_ONCE: Final = 50  # frames of one write


class Order(msgspec.Struct):
    """What to send."""

    certificate: str  # path of a PEM with its key
    contracts: int
    updates: int
    under_way: int
    acknowledged: str  # path of the number that the client keeps
    begin_ms: int
    per_s: float  # 0: as fast as they are acknowledged


def main() -> None:
    """Print a line with the port, later one with each contract's last update.

    At a pace it also tells when each update was sent (ns since 1970).
    """
    order = msgspec.json.decode(sys.argv[1], type=Order)
    market = Market(order.contracts, order.begin_ms)
    messages = [framed(message) for message in market.updates(order.updates)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(order.certificate)
    with Server(context) as server:
        print(server.port, flush=True)
        server.accept()
        server.hear_subscriptions(order.contracts)
        sent_ns = _paced(server, messages, order.per_s) if order.per_s else _flooded(server, messages, order)
        print(json.dumps({"last": market.last, "sent_ns": sent_ns}), flush=True)
        sys.stdin.read()  # until we are told to end: the connection stays


def _flooded(server: Server, messages: list[bytes], order: Order) -> list[int]:
    acknowledged = Shared(Path(order.acknowledged))
    chunks = [b"".join(messages[at : at + _AT_ONCE]) for at in range(0, len(messages), _AT_ONCE)]
    for number, chunk in enumerate(chunks):
        while number * _AT_ONCE - acknowledged.value > order.under_way:
            time.sleep(0.0002)
        server.send(chunk)
    return []


def _paced(server: Server, messages: list[bytes], per_s: float) -> list[int]:
    sent_ns = []
    begun = time.monotonic()
    for number, message in enumerate(messages):
        if (early := begun + number / per_s - time.monotonic()) > 0:
            time.sleep(early)
        sent_ns.append(time.time_ns())
        server.send(message)
    return sent_ns


if __name__ == "__main__":
    main()
