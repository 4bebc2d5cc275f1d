"""The metrics of the worker's shell; the data path adds its own to the same registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector


class Metrics:
    """The registry and the shell's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.session = Gauge(
            "ibfeed_session", "1 for the state that the session is in", ["state"], registry=self.registry
        )
        self.session_reason = Gauge(
            "ibfeed_session_reason",
            "1 for the reason that the session's state has at present, if it has one",
            ["reason"],
            registry=self.registry,
        )
        self.session_reasons = Counter(
            "ibfeed_session_reasons", "Times that the session came to have a reason", ["reason"], registry=self.registry
        )
        self.gateway_log_lines = Counter(
            "ibfeed_gateway_log_lines", "Lines of the gateway's log by what they tell", ["sign"], registry=self.registry
        )
        self.logins = Counter("ibfeed_logins", "Browser logins by outcome", ["outcome"], registry=self.registry)
        self.login_seconds = Histogram(
            "ibfeed_login_seconds",
            "Duration of a browser login",
            buckets=(1, 2, 3, 4, 6, 8, 12, 20, 40, 80),
            registry=self.registry,
        )
        self.gateway_starts = Counter("ibfeed_gateway_starts", "Starts of the gateway", registry=self.registry)
        self.rest_calls = Counter(
            "ibfeed_rest_calls", "REST calls through the gateway", ["path", "status"], registry=self.registry
        )
        self.streams_ended = Counter(
            "ibfeed_streams_ended", "Ends of a websocket by reason", ["reason"], registry=self.registry
        )
        self.failsafe = Gauge(
            "ibfeed_failsafe",
            "1 while the account is used without renewals of its Lease, since the API server is away",
            registry=self.registry,
        )
        self.leases_lost = Counter("ibfeed_leases_lost", "Account Leases lost", registry=self.registry)
