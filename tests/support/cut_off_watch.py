"""A worker's watch whose packets are lost for a while. ``unshare --net`` runs this program.

It needs a network namespace of its own. It prints the seconds from the cut's end until the worker has the change that
was written during the cut.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from ibfeed_worker.kube.client import Kube, connect
from ibfeed_worker.shard.watch import Shard, ShardWatcher

CUT_S = 25.0
_changed = threading.Event()


class _Api(BaseHTTPRequestHandler):
    """An API server that knows one shard. Its lines are 1, and 2 once it was changed."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if "watch=true" not in self.path:
            self.wfile.write(json.dumps({"metadata": {"resourceVersion": "1"}, "items": [_shard()]}).encode())
            return
        if not _changed.is_set():
            _changed.wait()
            self.wfile.write(json.dumps({"type": "MODIFIED", "object": _shard()}).encode() + b"\n")
        time.sleep(600)

    def log_message(self, *_: Any) -> None:
        pass


def _shard() -> dict[str, Any]:
    lines = 2 if _changed.is_set() else 1
    spec = {"feed": "energy", "worker": 0, "lines": lines}
    return {"metadata": {"name": "energy-0", "generation": lines}, "spec": spec}


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


async def main(directory: Path) -> None:
    _run(["ip", "link", "set", "lo", "up"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = directory / "kubeconfig"
    config.write_text(
        yaml.safe_dump(
            {
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "users": [{"name": "test", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            }
        )
    )
    os.environ["KUBECONFIG"] = str(config)
    seen: asyncio.Queue[Shard | None] = asyncio.Queue()
    watcher = ShardWatcher(Kube(connect(), "default"), "energy-0", seen.put_nowait)
    watcher.start()
    first = await asyncio.wait_for(seen.get(), 10)
    assert first is not None
    assert first.spec.lines == 1
    await asyncio.sleep(1)  # so that its watch has begun
    port = str(server.server_port)
    for rule in (["OUTPUT", "-p", "tcp", "--dport", port], ["INPUT", "-p", "tcp", "--sport", port]):
        _run(["iptables", "-w", "-A", *rule, "-j", "DROP"])
    _changed.set()
    await asyncio.sleep(CUT_S)
    _run(["iptables", "-w", "-F"])
    healed = time.monotonic()
    second = await asyncio.wait_for(seen.get(), 120)
    assert second is not None
    assert second.spec.lines == 2
    print(time.monotonic() - healed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
