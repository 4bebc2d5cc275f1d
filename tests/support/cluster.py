"""The cluster as a person sees it with kubectl: read objects, apply files, wait for something to become true."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import requests
from pykube.config import KubeConfig
from pykube.http import HTTPClient

ROOT = Path(__file__).resolve().parents[2]
STATE = Path(os.environ.get("IBFEED_STATE", "/var/lib/ibfeed-local"))
KUBECONFIG = Path(os.environ.get("KUBECONFIG", STATE / "admin.conf"))

RUNTIME = ("ctr", "--address", "/run/ibfeed-local/containerd.sock", "-n", "k8s.io")

Found = TypeVar("Found")

_ANSWER_S = 60.0
_mine = threading.local()
_APIS = {
    **dict.fromkeys(("ibfeeds", "ibshards", "ibsinks"), "apis/ibfeed.dev/v1alpha1"),
    **dict.fromkeys(("pods", "services", "serviceaccounts", "secrets", "configmaps", "resourcequotas"), "api/v1"),
    **dict.fromkeys(("deployments", "statefulsets"), "apis/apps/v1"),
    "leases": "apis/coordination.k8s.io/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
}


def kubectl(*words: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl on the tests' cluster; return what it prints. Raises AssertionError with its message."""
    environment = {**os.environ, "KUBECONFIG": str(KUBECONFIG)}
    done = subprocess.run(
        ["kubectl", *words], input=stdin, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    if check and done.returncode:
        raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout if check else done.stdout + done.stderr


def client() -> HTTPClient:
    return HTTPClient(KubeConfig.from_file(str(KUBECONFIG)), timeout=10)


def read(kind: str, name: str, namespace: str) -> dict[str, Any]:
    """Return the object, or an empty dict if there is none."""
    return _get(kind, namespace, f"/{name}") or {}


def items(kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
    """Return the objects, with the labels that ``selector`` asks for."""
    listed = _get(kind, namespace, f"?labelSelector={quote(selector)}" if selector else "")
    assert listed is not None, f"the API server knows no {kind}"
    found: list[dict[str, Any]] = listed["items"]
    return found


def _get(kind: str, namespace: str, rest: str) -> dict[str, Any] | None:
    """Ask the API server over a connection that stays; None if there is no such object.

    Tests ask several times a second, and a kubectl for each question took a third of their processor time.
    """
    plural = kind if kind.endswith("s") else f"{kind}s"
    path = f"/{_APIS[plural]}/namespaces/{namespace}/{plural}{rest}"
    if not hasattr(_mine, "client"):
        _mine.client = client()
    try:
        answer = _mine.client.session.get(f"{_mine.client.url}{path}", timeout=_ANSWER_S)
    except requests.RequestException as error:
        raise AssertionError(f"{path}: {error}") from error
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200, f"{path}: {answer.text}"
    found: dict[str, Any] = answer.json()
    return found


def eventually(
    ask: Callable[[], Found | Literal[False] | None], *, within: float, what: str, every: float = 0.25
) -> Found:
    """Ask until the answer is truthy; fail with ``what`` and the last answer after ``within`` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}; last seen: {answer!r}")
        time.sleep(every)


def condition(feed: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = feed.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


def is_ready(feed: dict[str, Any]) -> bool:
    """Whether a feed is ready for its present spec, not for an earlier one."""
    ready = condition(feed, "Ready")
    return ready.get("status") == "True" and ready.get("observedGeneration") == feed["metadata"]["generation"]


def owners(feed: dict[str, Any]) -> dict[int, str]:
    """Return conid -> worker, from the feed's status."""
    return {c["conid"]: c.get("worker", "") for c in feed.get("status", {}).get("contracts", [])}


def main_process(namespace: str, pod: str, container: str = "worker") -> int:
    """Return the id, on this machine, of the container's first process."""
    identity = _container_id(namespace, pod, container)
    listed = subprocess.run([*RUNTIME, "tasks", "list"], check=True, capture_output=True, text=True, timeout=20).stdout
    for line in listed.splitlines():
        name, pid, *_ = line.split()
        if name == identity:
            return int(pid)
    raise AssertionError(f"{pod} has no running container")


def kill_container(namespace: str, pod: str, container: str = "worker") -> None:
    """Kill the container's first process with SIGKILL, as the kernel's out-of-memory killer does."""
    identity = _container_id(namespace, pod, container)
    subprocess.run([*RUNTIME, "tasks", "kill", "-s", "SIGKILL", identity], check=True, timeout=20)


def _container_id(namespace: str, pod: str, container: str) -> str:
    found = next(c for c in read("pod", pod, namespace)["status"]["containerStatuses"] if c["name"] == container)
    return str(found["containerID"]).removeprefix("containerd://")
