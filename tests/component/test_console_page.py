"""The live page in a real Chromium: who gets in, what a thousand contracts cost, the keyboard, and Kafka's end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from support.broker import Broker
from support.cluster import ROOT, eventually
from support.console import (
    STRANGER,
    TRADER,
    USERS,
    ConsoleProcess,
    Market,
    WrittenFeed,
    chromium,
    connect,
    make_topics,
    symbol_of,
    token_of,
)
from support.control_plane import ADMIN, ControlPlane, control_plane
from support.figures import Figures

pytestmark = pytest.mark.timeout(240)

CONTRACTS, UPDATES_S = 1000, 500
COMMAND = [sys.executable, "-c", "from ibfeed.cli.main import main; main()"]
# How old, by Kafka's clock, the newest tick on the page is at this moment.
AGE = "return Date.now() - Number(document.getElementById('figure-lag').dataset.kafkaMs)"
VIEWER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "desk", "namespace": "default"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ibfeed-view"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": TRADER}],
}


@dataclass
class Scene:
    plane: ControlPlane
    broker: Broker
    feed: WrittenFeed
    market: Market
    console: ConsoleProcess

    def post(self, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
        return requests.post(f"{self.console.url}{path}", json=body, headers=headers, timeout=20)

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(f"{self.console.url}{path}", headers=headers, timeout=20)

    def code(self, user: str = TRADER) -> str:
        answer = self.post("/api/session", {}, **bearer(self, user))
        return str(answer.json()["code"])


def bearer(scene: Scene, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(scene.plane, user)}"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A feed of 1,000 contracts at 500 updates a second, with ten workers and two sinks."""
    broker = Broker(tmp_path_factory.mktemp("broker"))
    operator = ROOT / "manifests" / "operator"
    manifests = [ROOT / "crds", *(operator / f"{name}.yaml" for name in ("namespace", "user-roles", "console"))]
    with ExitStack() as stack:
        stack.callback(broker.kill)
        asyncio.run(broker.start())
        plane = stack.enter_context(control_plane(tmp_path_factory.mktemp("plane"), manifests, users=USERS))
        feed = WrittenFeed("energy", broker.servers, CONTRACTS, 10)
        make_topics(feed)
        asyncio.run(write(plane, feed))
        console = stack.enter_context(ConsoleProcess(plane))
        yield Scene(plane, broker, feed, stack.enter_context(Market(feed, UPDATES_S)), console)


async def write(plane: ControlPlane, feed: WrittenFeed) -> None:
    async with await connect(plane) as kube:
        await kube.review("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", VIEWER)
        await feed.write(kube)
        await feed.write_sink(kube, "redis-desk", 12)


@pytest.fixture(scope="module")
def page(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """The page of a user who was given the role ``ibfeed-view`` in the feed's namespace."""
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.execute_cdp_cmd("Performance.enable", {})
        driver.get(f"{scene.console.url}/#code={scene.code()}")
        eventually(lambda: rate(driver) > UPDATES_S / 2, within=60, what="the page shows the updates", every=0.3)
        yield driver


def text(page: Chrome, name: str) -> str:
    return page.find_element(By.ID, name).text


def rate(page: Chrome) -> float:
    shown = text(page, "figure-rate")
    return float("".join(digit for digit in shown if digit.isdigit()) or 0)


def test_nobody_gets_in_without_a_token(scene: Scene) -> None:
    for path in ("/api/feeds", "/api/stream"):
        assert scene.get(path).status_code == 401
        assert scene.get(path, Authorization="Bearer made-up").status_code == 401
    assert scene.post("/api/session", {}, Authorization="Bearer made-up").status_code == 401
    assert scene.post("/api/redeem", {"code": "made-up"}).status_code == 401


def test_only_namespaces_are_shown_whose_feeds_one_may_list(scene: Scene) -> None:
    def seen(user: str) -> list[str]:
        return [feed["key"] for feed in scene.get("/api/feeds", **bearer(scene, user)).json()["feeds"]]

    eventually(lambda: seen(TRADER) == ["default/energy"], within=60, what="the console has read the feed", every=1)
    assert seen(STRANGER) == []
    with requests.get(
        f"{scene.console.url}/api/stream", headers=bearer(scene, STRANGER), stream=True, timeout=20
    ) as told:
        lines = told.iter_lines()
        events = [next(line for line in lines if line.startswith(b"event:")) for _ in range(4)]
        assert b"event: contracts" not in events


def commands(scene: Scene, folder: Path, user: str) -> dict[str, str]:
    """Return the environment of a user's command line, whose kubectl has forwarded to the console."""
    kubectl = folder / "kubectl"
    kubectl.write_text(f'#!/bin/sh\necho "Forwarding from 127.0.0.1:{scene.console.port} -> 8081"\nexec sleep 60\n')
    kubectl.chmod(0o755)
    return {
        "PATH": f"{folder}:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "KUBECONFIG": str(scene.plane.kubeconfig(user)),
    }


def test_plan_command_has_the_operators_planner(scene: Scene, tmp_path: Path) -> None:
    """The feed is only written down, without pods: so its contracts are taken for those of workers that are lost."""
    environment = commands(scene, tmp_path, ADMIN)
    edited = json.loads(scene.plane.kubectl("get", "ibf", "energy", "-o", "json"))
    edited["spec"]["roots"] = edited["spec"]["roots"][1:]
    words = [*COMMAND, "plan", "-f", "-", "-o", "json"]
    done = subprocess.run(
        words, env=environment, input=json.dumps(edited), capture_output=True, text=True, timeout=60, check=False
    )
    plan = json.loads(done.stdout)
    assert (plan["feed"], len(plan["workers"])) == ("energy", 10)
    removed = {change["symbol"] for change in plan["changes"] if change["kind"] == "removed"}
    assert removed == {symbol_of(conid) for conid in range(1, CONTRACTS + 1) if symbol_of(conid).startswith("CL")}


def test_plan_is_for_those_who_may_see_the_feed(scene: Scene) -> None:
    spec = json.loads(scene.plane.kubectl("get", "ibf", "energy", "-o", "json"))["spec"]

    def status(user: str, **other: Any) -> int:
        body = {"namespace": "default", "feed": "energy", "spec": spec, **other}
        return scene.post("/api/plan", body, **bearer(scene, user)).status_code

    assert status(TRADER) == 200
    assert status(STRANGER) == 403
    assert status(TRADER, feed="rates") == 404
    assert status(TRADER, spec={"roots": 7}) == 400


def test_dashboard_command_prints_an_address_that_is_good_once(scene: Scene, tmp_path: Path) -> None:
    environment = commands(scene, tmp_path, TRADER)
    words = [*COMMAND, "dashboard", "--no-browser"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        address = command.stdout.readline().split()[-1]
        command.send_signal(signal.SIGINT)
        assert command.wait(20) == 0
    url, _, code = address.partition("/#code=")
    assert url == scene.console.url
    assert scene.post("/api/redeem", {"code": code}).status_code == 200
    assert scene.post("/api/redeem", {"code": code}).status_code == 401


def test_other_names_and_origins_are_refused(scene: Scene) -> None:
    known = bearer(scene, TRADER)
    assert scene.get("/", Host="evil.example").status_code == 403
    assert scene.post("/api/session", {}, Origin="http://localhost:3000", **known).status_code == 403
    assert scene.get("/api/feeds", **{"Sec-Fetch-Site": "same-site"}, **known).status_code == 403
    answer = scene.get("/")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_cookie_is_for_this_page_alone(scene: Scene) -> None:
    cookie = scene.post("/api/redeem", {"code": scene.code()}).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/api"} <= {part.strip() for part in cookie.split(";")}


def test_console_may_read_no_secret_and_write_nothing(scene: Scene) -> None:
    who = "--as=system:serviceaccount:ibfeed-system:ibfeed-console"
    rights = scene.plane.kubectl("auth", "can-i", "--list", who, "--namespace", "default")
    ours = [line.split() for line in rights.splitlines() if "ibfeed.dev" in line or "coordination" in line]
    assert {tuple(line[-2:]) for line in ours} == {("[list", "watch]")}
    assert "secrets" not in rights


def test_a_thousand_contracts_within_the_bars(scene: Scene, page: Chrome, figures: Figures) -> None:
    paint = page.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    drawn = page.execute_script("return performance.getEntriesByName('ibfeed-drawn')[0].startTime") / 1000
    time.sleep(3)  # the backlog of the start is read
    began, used, lags = time.monotonic(), scene.console.cpu_s(), []
    while time.monotonic() - began < 8:
        lags.append(page.execute_script(AGE) / 1000)
        time.sleep(0.1)
    share = (scene.console.cpu_s() - used) / (time.monotonic() - began)
    page.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    measured = page.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    heap = next(one["value"] for one in measured if one["name"] == "JSHeapUsedSize") / 1e6
    spread = f"median {median(lags):.2f}, highest {max(lags):.2f}"
    figures.record("page of 1,000 contracts: first paint", paint, bar=1, note=f"all contracts after {drawn:.2f} s")
    figures.record("page: behind Kafka, 99th percentile", sorted(lags)[int(len(lags) * 0.99)], bar=1, note=spread)
    figures.record("page: processor of a second, at 500 updates", share, bar=0.05)
    figures.record("page: memory of JavaScript", heap, bar=50, unit="MB")
    assert page.find_element(By.ID, "grid").get_attribute("aria-rowcount") == str(CONTRACTS + 1)
    assert len(page.find_elements(By.CSS_SELECTOR, ".line")) < 60, "only the rows in view exist"


def test_nothing_is_refused_or_fails_in_the_browser(page: Chrome) -> None:
    said: list[dict[str, str]] = page.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry for entry in said if entry["level"] == "SEVERE"] == []
    assert "code=" not in page.current_url
    assert page.execute_script("return document.cookie") == ""


def test_keyboard_finds_a_contract_and_shows_its_chart(page: Chrome) -> None:
    body = page.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    page.switch_to.active_element.send_keys("CLF6")
    eventually(lambda: text(page, "count").startswith("1 of"), within=10, what="one contract is found")
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    body.send_keys("g")
    grid = page.switch_to.active_element
    assert grid.get_attribute("role") == "grid"
    before = grid.get_attribute("aria-activedescendant")
    grid.send_keys(Keys.ARROW_DOWN, Keys.PAGE_DOWN)
    active = grid.get_attribute("aria-activedescendant")
    assert active != before
    row = page.find_element(By.ID, active)
    assert row.get_attribute("aria-selected") == "true"
    grid.send_keys(Keys.ENTER)
    symbol = row.find_element(By.CSS_SELECTOR, ".c-symbol").text
    assert text(page, "detail-title") == f"{symbol}: last, bid and ask"


def test_moves_logins_and_gaps_appear_as_they_happen(scene: Scene, page: Chrome) -> None:
    async def happen() -> None:
        async with await connect(scene.plane) as kube:
            await scene.feed.move(kube, [1, 2], 0, 1)
            await scene.feed.report(kube, 3, "LoggingIn")
            await asyncio.sleep(1)
            await scene.feed.report(kube, 3, "Streaming")

    asyncio.run(happen())
    scene.market.gap(5, 7.5, "the worker took over after 7 s")
    wanted = ("CLF6, NGF6: energy-0 → energy-1", "energy-3 logs in", "the worker took over after 7 s")
    eventually(lambda: all(one in text(page, "events") for one in wanted), within=30, what="the three are in the list")
    tile = page.find_element(By.CSS_SELECTOR, '[data-tile="default/energy energy-1"]')
    assert "102 contracts" in (tile.get_attribute("aria-label") or "")


def test_every_control_has_a_name_and_every_part_a_heading(page: Chrome) -> None:
    page.execute_cdp_cmd("Accessibility.enable", {})
    nodes: list[dict[str, Any]] = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    shown = [(node.get("role", {}).get("value"), node.get("name", {}).get("value", "")) for node in nodes]
    controls = ("button", "searchbox", "combobox", "grid", "textbox", "log")
    assert [role for role, name in shown if role in controls and not name] == []
    headings = {name for role, name in shown if role == "heading"}
    assert {"Feeds, workers, accounts", "Contracts", "Time line", "Moves, gaps, logins", "Sinks"} <= headings


def test_without_kafka_the_page_says_so_and_shows_the_rest(scene: Scene, page: Chrome) -> None:
    scene.broker.kill()
    eventually(lambda: "it is tried again" in text(page, "banner"), within=60, what="the page names Kafka")
    assert text(page, "pulse") == "Live"
    assert text(page, "figure-contracts") == f"{CONTRACTS}/{CONTRACTS}"


def test_signing_out_ends_the_session(page: Chrome) -> None:
    page.find_element(By.ID, "sign-out").click()
    eventually(lambda: page.find_element(By.ID, "token").is_displayed(), within=10, what="the page asks for a token")
    assert page.execute_async_script("fetch('/api/feeds').then((a) => arguments[0](a.status))") == 401


def test_log_has_no_token_and_no_code(scene: Scene) -> None:
    log = scene.console.log.read_text()
    assert "Traceback" not in log
    for line in (scene.plane.directory / "tokens.csv").read_text().splitlines():
        assert line.split(",")[0] not in log
