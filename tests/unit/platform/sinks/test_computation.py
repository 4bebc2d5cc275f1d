from __future__ import annotations

from dataclasses import replace

import pytest

import ibfeed
from ibfeed_platform.sinks.computation import ComputationSettings, ComputationSink
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis_settings import RedisSettings
from ibfeed_platform.sinks.source import KafkaSource

SOURCE = KafkaSource("127.0.0.1:9", "energy", ibfeed.Topics(), "group")
SETTINGS = ComputationSettings(RedisSettings("redis://127.0.0.1:9/0"), "power", "calendar_spreads")


def test_a_shipped_computation_is_found_by_its_name() -> None:
    assert "lead(" in SETTINGS.text()


def test_own_sql_needs_no_shipped_name() -> None:
    assert replace(SETTINGS, name="mine", sql="SELECT 1 AS key").text() == "SELECT 1 AS key"


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(SinkError, match="rolling_vwap"):
        replace(SETTINGS, name="unknown").text()


@pytest.mark.parametrize("team", ["", "power:gas", "*", "Power", "a" * 64])
def test_a_team_that_cannot_be_part_of_a_key_is_refused(team: str) -> None:
    with pytest.raises(SinkError, match="lower-case"):
        replace(SETTINGS, team=team).text()


def test_faulty_sql_is_refused_when_the_sink_is_made() -> None:
    with pytest.raises(SinkError, match="SQL of mine is refused: "):
        ComputationSink(replace(SETTINGS, name="mine", sql="SELECT x AS key FROM ticks"), SOURCE)
