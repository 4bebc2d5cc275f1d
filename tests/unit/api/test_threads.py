"""Threads may meet the shard's types at the same moment: msgspec must know them by then."""

from __future__ import annotations

import os
import subprocess
import sys

FIRST_USE = """
import sys
import msgspec
from ibfeed_api.shard import ShardSpec, ShardStatus

called = []
sys.setprofile(lambda frame, event, _: event == "call" and called.append(frame.f_code.co_filename))
msgspec.convert({"feed": "energy", "worker": 0}, ShardSpec)
msgspec.convert({"session": "Streaming"}, ShardStatus)
sys.setprofile(None)
print(*{name for name in called if "msgspec" in name})
"""


def test_msgspec_learns_nothing_at_the_first_use() -> None:
    """While it learns a type it runs Python, so that another thread may find the type half learnt, and crash."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FIRST_USE]
    assert subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout == "\n"
