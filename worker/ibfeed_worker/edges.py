"""The edges of a worker's process: it starts programs, sets a timer of the kernel, and connects to Kafka.

They are one argument, so that a simulation in virtual time can put others in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ibfeed_worker import publish
from ibfeed_worker.account.fence import KernelSwitch, Switch
from ibfeed_worker.gateway import process
from ibfeed_worker.gateway.keeper import StartGateway
from ibfeed_worker.login import LogIn, log_in
from ibfeed_worker.publish.schema_registry import Schemas


def _connecting(trusted: str) -> publish.Connect:
    return partial(publish.connect, trusted=trusted, schemas=Schemas())


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """The edges of one worker.

    Args:
        start_gateway: starts the gateway's process.
        log_in: tries once to log in, by a browser in a process of its own.
        switch: makes the dead man's switch.
        connecting: returns the function that makes producers; given the CAs, in PEM, that may sign the certificate of
            a token endpoint.
    """

    start_gateway: StartGateway = process.start
    log_in: LogIn = log_in
    switch: Callable[[], Switch] = KernelSwitch
    connecting: Callable[[str], publish.Connect] = _connecting
