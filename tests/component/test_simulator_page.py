"""What docs/simulator.md tells a new user to type, typed: from the tree to a login and a price."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import ROOT, eventually

REQUIREMENTS = ROOT / "requirements" / "simulator.txt"
# Its ports are those of the page, and are nobody else's in a network of its own. pip gets its packages beforehand.
ALONE = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
ASK = """
import json, ssl, sys, time
import httpx, websocket
keys = json.load(open("sim/accounts.json"))
http = httpx.Client(base_url="https://localhost:5000", verify=False, trust_env=False, timeout=10)
page = http.post("/sso/Dispatcher", data={"username": keys["username-1"], "password": keys["password-1"]})
assert "Client login succeeds" in page.text, page.text
while not http.post("/v1/api/iserver/auth/status", json={}).json()["authenticated"]:
    time.sleep(1)
conid = http.get("/v1/api/trsrv/futures", params={"symbols": "CL"}).json()["CL"][0]["conid"]
url, trust = "wss://localhost:5000/v1/api/ws", {"cert_reqs": ssl.CERT_NONE}
stream = websocket.create_connection(url, sslopt=trust, skip_utf8_validation=True, timeout=10)
topic = ""
while topic != "sts":
    topic = json.loads(stream.recv())["topic"]
stream.send(f'smd+{conid}+{{"fields":["31","84","86"]}}')
while topic != f"smd+{conid}":
    frame = json.loads(stream.recv())
    topic = frame["topic"]
print(json.dumps(frame))
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-r", REQUIREMENTS, "-d", folder], check=True, timeout=240)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What of the source tree the page needs, as it stands."""
    for name in ("simulator", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def typed(tree: Path, wheels: Path) -> Iterator[subprocess.Popen[bytes]]:
    page = (ROOT / "docs" / "simulator.md").read_text()
    block = re.search(r"^## Without a cluster$.*?^```sh$(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert block is not None
    script = tree / "typed.sh"
    script.write_text(f"ip link set lo up\n{block[1]}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    with (tree / "typed.log").open("wb") as log:
        running = subprocess.Popen(
            [*ALONE, "bash", "-e", script],
            cwd=tree,
            env={**environment, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield running
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(10)


@pytest.mark.timeout(400)
def test_what_the_page_says_leads_to_a_price(typed: subprocess.Popen[bytes], tree: Path) -> None:
    log = tree / "typed.log"

    def listens() -> bool:
        assert typed.poll() is None, log.read_text()
        return "Open https://localhost:5000 to login" in log.read_text()

    eventually(listens, within=180, what="the gateway says where to log in", every=1)
    inside = ["nsenter", "--net", "--target", str(typed.pid), sys.executable, "-c", ASK]

    def price() -> str:
        done = subprocess.run(inside, cwd=tree, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout if done.returncode == 0 else ""

    frame = json.loads(eventually(price, within=60, what="a login and a price", every=1))
    assert float(frame["84"]) < float(frame["86"])
