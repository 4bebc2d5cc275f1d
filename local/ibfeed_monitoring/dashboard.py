"""The Grafana dashboard, as the JSON that Grafana imports; a ConfigMap brings it to Grafana's sidecar.

Only fields that Grafana 10 and later need are set; it fills in the rest. Grafana is not part of the tests: they parse
each expression, and look each metric up in the code.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any, Final

from ibfeed_monitoring.panels import ROWS, Panel

_WIDTH: Final = 24
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
# The selectors by their short forms in the panels' expressions.
_SELECTORS: Final = {"@feed": 'namespace=~"$namespace",feed=~"$feed"', "@sink": 'namespace=~"$namespace"'}


def build() -> dict[str, Any]:
    """Return the dashboard."""
    panels: list[dict[str, Any]] = []
    ids, top = count(1), 0
    for row in ROWS:
        panels.append({"id": next(ids), "type": "row", "title": row.title, "gridPos": _place(0, top, _WIDTH, 1)})
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > _WIDTH:
                top, left = top + height, 0
            height = 4 if panel.kind == "stat" else 8
            panels.append({"id": next(ids), "gridPos": _place(left, top, panel.width, height), **_panel(panel)})
            left += panel.width
        top += height
    return {
        "uid": "ibfeed",
        "title": "ibfeed",
        "tags": ["ibfeed"],
        "timezone": "utc",
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": panels,
    }


def _place(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _DATASOURCE,
                "expr": _full(text),
                "legendFormat": legend,
            }
            for place, (text, legend) in enumerate(panel.queries)
        ],
    }


def _full(text: str) -> str:
    for short, selector in _SELECTORS.items():
        text = text.replace(short, selector)
    return text


def _variables() -> list[dict[str, Any]]:
    every = {"type": "query", "datasource": _DATASOURCE, "refresh": 2, "multi": True, "includeAll": True}
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {**every, "name": "namespace", "label": "Namespace", "query": "label_values(ibfeed_feed_contracts, namespace)"},
        {
            **every,
            "name": "feed",
            "label": "Feed",
            "query": 'label_values(ibfeed_feed_contracts{namespace=~"$namespace"}, feed)',
        },
    ]


def as_json() -> str:
    """Return ``dashboards/ibfeed.json``."""
    return json.dumps(build(), indent=1) + "\n"
