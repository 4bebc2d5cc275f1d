"""The console's own metrics, for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

VIEWERS: Final = Gauge("ibfeed_console_viewers", "Pages that are open.")
RECORDS: Final = Counter("ibfeed_console_records", "Ticks that were read from Kafka for the page.")
UNREADABLE: Final = Counter("ibfeed_console_unreadable_records", "Records from Kafka that could not be decoded.")
BEHIND: Final = Gauge("ibfeed_console_behind_seconds", "Age of the newest tick when it was last sent to the pages.")
