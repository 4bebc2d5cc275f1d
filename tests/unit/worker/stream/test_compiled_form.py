"""The data path's tests run on the sources, and again on what the worker's image has of them (ADR 25)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibfeed_worker.publish import counters, delivery, partition_writer, send_queue
from ibfeed_worker.stream import contract, dispatcher, quote_handler
from ibfeed_worker.ticks import normaliser

_COMPILED = (counters, delivery, partition_writer, send_queue, contract, dispatcher, quote_handler, normaliser)


def test_the_modules_are_of_the_form_that_this_run_is_about(pytestconfig: pytest.Config) -> None:
    first: Path = pytestconfig.getini("pythonpath")[0]
    suffix = ".so" if first.name == "compiled" else ".py"
    assert {Path(str(module.__file__)).suffix for module in _COMPILED} == {suffix}
