"""``python -m worker.flood``: sends frames as fast as the client gets them onto Kafka.

So many are under way at most; so no queue overflows, and the client is the one that is measured.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from worker.frames import Market
from worker.shared import Shared
from worker.wire import Server, framed

_AT_ONCE: Final = 50  # frames of one write


class Order(msgspec.Struct):
    """What to send."""

    certificate: str  # path of a PEM with its key
    contracts: int
    updates: int
    under_way: int
    acknowledged: str  # path of the number that the client keeps
    begin_ms: int


def main() -> None:
    """Prints a line with the port, later one with each contract's last update."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    market = Market(order.contracts, order.begin_ms)
    messages = [framed(message) for message in market.updates(order.updates)]
    chunks = [b"".join(messages[at : at + _AT_ONCE]) for at in range(0, len(messages), _AT_ONCE)]
    del messages
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(order.certificate)
    acknowledged = Shared(Path(order.acknowledged))
    with Server(context) as server:
        print(server.port, flush=True)
        server.accept()
        server.hear_subscriptions(order.contracts)
        for number, chunk in enumerate(chunks):
            while number * _AT_ONCE - acknowledged.value > order.under_way:
                time.sleep(0.0002)
            server.send(chunk)
        print(json.dumps(market.last), flush=True)
        sys.stdin.read()  # until we are told to end: the connection stays


if __name__ == "__main__":
    main()
