"""The operator is away: workers obey what their shards say and stream on."""

from __future__ import annotations

import time
from typing import Any

from ibfeed_local.progress import Progress
from ownership.explain import show
from ownership.setting import Sizes
from ownership.stage import Stage
from ownership.verdict import delivery
from support.cluster import eventually, items, kubectl, read

_NAMESPACE, _NAME = "ibfeed-system", "ibfeed-operator"


def away(on: Stage, sizes: Sizes, progress: Progress) -> dict[str, Any]:
    """Scale the operator to nothing for a while, and compare what was streamed meanwhile and at its return."""
    replicas = read("deployment", _NAME, _NAMESPACE)["spec"]["replicas"]
    with on.watch() as watch:
        try:
            with progress.step(f"operator away for {sizes.away_s:g} s"):
                _scale(0)
                eventually(lambda: not _pods(), within=60, what="the operator has ended")
                time.sleep(sizes.away_s)
        finally:
            _scale(replicas)
            kubectl("rollout", "status", f"deployment/{_NAME}", "-n", _NAMESPACE, "--timeout=100s")
        on.settle()
        evidence = watch.evidence()
    found = delivery(evidence.sent, evidence.written, evidence.window)
    show(found, evidence, progress)
    return {
        "operator_down_lost": len(found.lost),
        "operator_down_s": sizes.away_s,
        "operator_down_duplicated": len(found.duplicated) + len(found.unknown),
        "operator_down_updates": found.expected,
    }


def _scale(replicas: int) -> None:
    kubectl("scale", f"deployment/{_NAME}", "-n", _NAMESPACE, f"--replicas={replicas}")


def _pods() -> list[dict[str, Any]]:
    return items("pods", _NAMESPACE, "app.kubernetes.io/component=operator")
