"""What events say of pods that are refused or do not start. The texts are Kubernetes' own, of real API servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from ibfeed_operator.status.obstacles import Event, obstruction, read_event, refusal

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
QUOTA = (
    'pods "energy-2" is forbidden: exceeded quota: small, requested: limits.memory=2Gi, used: limits.memory=4Gi,'
    " limited: limits.memory=4Gi"
)


def refused(pod: str, error: str, *, at: int = 0, prefix: str = "") -> Event:
    message = f"{prefix}create Pod {pod} in StatefulSet energy failed error: {error}"
    return Event(reason="FailedCreate", message=message, warning=True, at=NOON + timedelta(seconds=at))


def created(pod: str, *, at: int) -> Event:
    message = f"create Pod {pod} in StatefulSet energy successful"
    return Event(reason="SuccessfulCreate", message=message, warning=False, at=NOON + timedelta(seconds=at))


class TestRefusal:
    def test_quotes_the_api_server_and_says_what_to_do(self) -> None:
        text = refusal([refused("energy-2", QUOTA)], "energy-2")
        assert text.startswith("the API server refuses its pod: exceeded quota: small, requested: limits.memory=2Gi")
        assert "raise the ResourceQuota" in text
        assert 'pods "energy-2"' not in text  # workers with the same trouble share a sentence

    @pytest.mark.parametrize(
        ("error", "advice"),
        [
            ('pods "e-0" is forbidden: failed quota: q: must specify limits.cpu for: worker', "set what the Resource"),
            ('pods "e-0" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi', "LimitRange"),
            ('pods "e-0" is forbidden: violates PodSecurity "baseline:latest": host namespaces', "remove what"),
            ('admission webhook "deny.example.com" denied the request: not signed', "correct that webhook"),
            ('Internal error occurred: failed calling webhook "v.example.com": refused', "correct that webhook"),
            ('pods "e-0" is forbidden: no PriorityClass with name high was found', "spec.worker.priorityClassName"),
            (
                'pods "e-0" is forbidden: error looking up service account d/e: serviceaccount "e" not found',
                "the operator makes it again",
            ),
            ("something new", "correct what it names"),
        ],
    )
    def test_advice_fits_the_refusal(self, error: str, advice: str) -> None:
        assert advice in refusal([refused("e-0", error)], "e-0")

    def test_creation_since_then_ends_it(self) -> None:
        events = [refused("energy-2", QUOTA), created("energy-2", at=5)]
        assert refusal(events, "energy-2") == ""
        assert "exceeded quota" in refusal([*events, refused("energy-2", QUOTA, at=9)], "energy-2")

    def test_the_latest_refusal_counts(self) -> None:
        events = [refused("energy-2", "webhook says no", at=7), refused("energy-2", QUOTA, at=1)]
        assert "webhook says no" in refusal(events, "energy-2")

    def test_joined_events_stand_for_pods_they_do_not_name(self) -> None:
        prefix = "(combined from similar events): "
        assert "exceeded quota" in refusal([refused("energy-9", QUOTA, prefix=prefix)], "energy-2")

    def test_nothing_is_made_up(self) -> None:
        assert refusal([], "energy-2") == ""
        assert refusal([created("energy-2", at=1)], "energy-2") == ""
        other = Event(reason="FailedUpdate", message="update Pod energy-2 in StatefulSet energy failed error: x",
                      warning=True, at=NOON)  # fmt: skip
        assert refusal([other], "energy-2") == ""

    def test_a_very_long_text_is_cut(self) -> None:
        assert len(refusal([refused("energy-2", "x" * 5000)], "energy-2")) < 700


class TestObstruction:
    def test_the_latest_warning_is_quoted(self) -> None:
        text = 'MountVolume.SetUp failed for volume "ca" : configmap "proxy-ca" not found'
        events = [
            Event(reason="Pulled", message="pulled", warning=False, at=NOON + timedelta(seconds=9)),
            Event(reason="FailedMount", message=text, warning=True, at=NOON + timedelta(seconds=5)),
            Event(reason="FailedScheduling", message="no node", warning=True, at=NOON),
        ]
        assert obstruction(events) == f"its pod is not started: FailedMount: {text}"

    def test_without_a_warning_it_says_nothing(self) -> None:
        assert obstruction([Event(reason="Scheduled", message="to n1", warning=False, at=NOON)]) == ""


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ({"lastTimestamp": "2026-11-21T12:00:05Z", "eventTime": None}, 5),
        ({"lastTimestamp": None, "eventTime": "2026-11-21T12:00:06.123456Z"}, 6),
        (
            {"eventTime": "2026-11-21T12:00:00Z", "series": {"lastObservedTime": "2026-11-21T12:00:07Z"}},
            7,
        ),
        ({}, 1),
    ],
)
def test_event_time_is_the_last_that_it_was_seen(times: dict[str, object], at: int) -> None:
    raw = {
        "metadata": {"name": "x", "creationTimestamp": "2026-11-21T12:00:01Z"},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": "m",
    } | times
    event = read_event(json.dumps(raw).encode())
    assert event.at.replace(microsecond=0) == NOON + timedelta(seconds=at)
    assert event.warning
