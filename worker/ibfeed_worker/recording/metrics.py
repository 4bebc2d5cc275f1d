"""Metrics of the recorder of frames."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from ibfeed_worker.recording.frame_recorder import RecorderCounters


class RecorderCollector(Collector):
    """The collector of these metrics."""

    def __init__(self, counters: RecorderCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        now = self._counters
        yield CounterMetricFamily("ibfeed_frames_recorded", "Frames written to files", value=now.frames)
        yield CounterMetricFamily(
            "ibfeed_frames_recorded_bytes", "Bytes of the files of recorded frames", value=now.bytes
        )
        yield CounterMetricFamily(
            "ibfeed_frames_unrecorded", "Frames that are in no file, since disk or queue was full", value=now.dropped
        )
