"""A real Prometheus for one test, with the rules of ``manifests/monitoring`` in a hurry."""

from __future__ import annotations

import copy
import json
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from support.cluster import STATE
from support.ports import free_port

PROGRAM = Path(shutil.which("prometheus") or STATE / "packages" / "prometheus" / "usr" / "bin" / "prometheus")
_SCRAPE_S: Final = 1
_START_S: Final = 20.0


def hurried(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules with each ``for`` a second, and groups that are evaluated each second. Expressions stay."""
    found: dict[str, Any] = copy.deepcopy(dict(rules))
    for group in found["groups"]:
        group["interval"] = f"{_SCRAPE_S}s"
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = f"{_SCRAPE_S}s"
    return found


class Prometheus:
    """A server that scrapes each second.

    Args:
        folder: where it keeps its files.
        rules: as in a rules file.
        targets: port on this host to the labels that the monitors would add.
    """

    def __init__(self, folder: Path, rules: Mapping[str, Any], targets: Mapping[int, Mapping[str, str]]) -> None:
        assert PROGRAM.exists(), f"{PROGRAM} is missing: make test unpacks it"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        (folder / "rules.yml").write_text(yaml.safe_dump(dict(rules)))
        jobs = [{"targets": [f"127.0.0.1:{port}"], "labels": dict(labels)} for port, labels in targets.items()]
        settings = {
            "global": {"scrape_interval": f"{_SCRAPE_S}s", "scrape_timeout": f"{_SCRAPE_S}s"},
            "rule_files": ["rules.yml"],
            # As the monitors do: a label of the scraped series wins.
            "scrape_configs": [{"job_name": "ibfeed", "honor_labels": True, "static_configs": jobs}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))

    def __enter__(self) -> Self:
        log = self._folder / "log"
        listen = self.url.removeprefix("http://")
        settings = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={listen}")
        with log.open("wb") as out:
            self._process = subprocess.Popen([PROGRAM, *settings], cwd=self._folder, stdout=out, stderr=out)
        deadline = time.monotonic() + _START_S
        while not self._is_ready():
            assert time.monotonic() < deadline and self._process.poll() is None, log.read_text()
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)

    def alerts(self, state: str = "firing") -> dict[str, dict[str, Any]]:
        """Return the alerts in a state, by name."""
        found = self._ask("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"]: alert for alert in found if alert["state"] == state}

    def recorded(self, selector: str, since: float) -> list[dict[str, Any]]:
        """Return series since a moment (seconds since 1970), with a value or None for each second."""
        until = time.time()
        query = {"query": selector, "start": f"{since:.3f}", "end": f"{until:.3f}", "step": str(_SCRAPE_S)}
        found = self._ask("/api/v1/query_range", query)["result"]
        made = []
        for one in found:
            at = {round(moment - since): value for moment, value in one["values"]}
            made.append({"labels": one["metric"], "values": [at.get(second) for second in range(int(until - since))]})
        return made

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _ask(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        text = f"?{urllib.parse.urlencode(query)}" if query else ""
        with urllib.request.urlopen(f"{self.url}{path}{text}", timeout=10) as answer:
            said = json.loads(answer.read())
        assert said["status"] == "success", said
        data: dict[str, Any] = said["data"]
        return data


def as_input(recorded: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return recorded series as promtool takes them, at one value a second."""
    return [
        {
            "series": _series(one["labels"]),
            "values": " ".join("_" if value is None else value for value in one["values"]),
        }
        for one in recorded
    ]


def _series(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
    assert re.fullmatch("[a-z_:]+", labels["__name__"])
    return f"{labels['__name__']}{{{inner}}}"
