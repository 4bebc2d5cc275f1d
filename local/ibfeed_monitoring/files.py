"""The files that are made from the code."""

from __future__ import annotations

from pathlib import Path

from ibfeed_monitoring import catalogue, dashboard, events_page


def contents() -> dict[str, str]:
    """Return each file's text by its path below the checkout."""
    return {
        "docs/metrics.md": catalogue.page(),
        "docs/events.md": events_page.page(),
        "manifests/monitoring/dashboards/ibfeed.json": dashboard.as_json(),
    }


def write_all(root: Path) -> int:
    """Write them; return how many there are."""
    made = contents()
    for path, text in made.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return len(made)
