from __future__ import annotations

import pytest
from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError

from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis_settings import RedisSettings, told_or_refused

SETTINGS = RedisSettings("redis://cache:6379/0", user="sink", password="s3cret")


def test_the_password_is_not_shown() -> None:
    assert "s3cret" not in repr(SETTINGS)


@pytest.mark.parametrize("url", ["redis://:s3cret@cache:6379/0", "cache:6379"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SinkError) as failure:
        RedisSettings(url).client()
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize("error", [AuthenticationError("WRONGPASS"), NoPermissionError("NOPERM")])
def test_refused_users_are_for_a_person(error: Exception) -> None:
    with pytest.raises(SinkError):
        told_or_refused(error, SETTINGS)  # type: ignore[arg-type]


def test_a_loading_redis_is_tried_again() -> None:
    assert "tried again" in told_or_refused(BusyLoadingError("LOADING"), SETTINGS)
