"""IB and the gateways: reachable from the workers, sessions, and IB's own maintenance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ibfeed.doctor.facts import FeedFacts, known
from ibfeed.doctor.findings import Fault, FoundFault, error, note, warning
from ibfeed.doctor.maintenance import maintenance_at
from ibfeed.doctor.seen import SeenShard

GATEWAY = error("gateway-broken", "the gateway archive of the worker's image is missing, or cannot be started")
UPSTREAM = error("ib-unreachable", "a worker's gateway does not reach IB")
COMPETING = error("session-competing", "somebody else is logged in with a worker's user")
DOWN = error("session-down", "a worker has no session with IB, for another reason")
DELAYED = warning("market-data-not-live", "IB sends delayed or frozen data to an account")
MAINTENANCE = note("ib-maintenance", "IB has its daily reset or weekend maintenance now")
FAULTS = (GATEWAY, UPSTREAM, COMPETING, DOWN, DELAYED, MAINTENANCE)

# These have a finding of their own in another section.
_OF_CREDENTIALS: Final = frozenset(
    {"VaultUnreachable", "VaultDenied", "CredentialsMissing", "SecretMissing", "LoginPageTrouble", "AccountParked"}
)
_FAILED: Final = frozenset({"BackingOff", "Parked"})
_GATEWAY: Final = frozenset({"GatewayBroken", "GatewayDied", "GatewaySick", "GatewaySilent", "GatewayPortTaken"})


def check(facts: FeedFacts) -> Iterator[FoundFault]:
    """Check the workers' sessions."""
    maintenance = maintenance_at(facts.feed.spec.accounts.region, facts.now)
    if maintenance is not None:
        yield MAINTENANCE.found(
            "Interactive Brokers",
            f"{maintenance.name} from {maintenance.begins:%a %H:%M} to {maintenance.ends:%a %H:%M} UTC",
            "IB refuses logins and ends sessions then; workers log in again by themselves",
            f"{facts.on} get ibf {facts.name} --watch",
        )
    for shard in known(facts.shards, ()):
        yield from _of_session(shard, facts)


def _of_session(shard: SeenShard, facts: FeedFacts) -> Iterator[FoundFault]:
    status = shard.status
    about = f"worker {shard.name}"
    if status.market_data_live is False and status.session == "Streaming":
        yield DELAYED.found(
            about,
            "IB sends it delayed or frozen data",
            status.message or "the user has no subscription for these exchanges, or does not share the live user's",
            "subscribe the exchanges at IB (Client Portal: Settings, Market Data Subscriptions), then:"
            f" {facts.on} delete pod {shard.name}",
        )
    broken = status.reason in _GATEWAY
    if status.session not in _FAILED and not broken and status.reason not in ("Competing", "UpstreamUnreachable"):
        return
    if status.reason in _OF_CREDENTIALS or status.session == "Streaming":
        return
    fault, what, mend = _kind(shard, facts)
    yield fault.found(about, what, status.message or "it does not say why", mend)


def _kind(shard: SeenShard, facts: FeedFacts) -> tuple[Fault, str, str]:
    reason, index = shard.status.reason, shard.spec.account.index if shard.spec.account else "?"
    if reason in _GATEWAY:
        build = "docker build -f Dockerfile.worker . --build-arg GATEWAY_ARCHIVE=dist/clientportal.gw.zip"
        mend = build if reason == "GatewayBroken" else f"{facts.on} logs {shard.name} --tail=100"
        return GATEWAY, f"its gateway does not run: {reason}", mend
    if reason == "UpstreamUnreachable":
        upstream = facts.feed.spec.gateway.get("upstream", "https://api.ibkr.com")
        return (
            UPSTREAM,
            f"its gateway does not reach {upstream}",
            f"curl -sS -o /dev/null -w '%{{http_code}}' {upstream}",
        )
    if reason == "Competing":
        drain = f"{facts.on} annotate ibs/{shard.name} ibfeed.dev/drain=true"
        return COMPETING, f"somebody else is logged in with the user of account {index}", f"log out there, or: {drain}"
    return DOWN, f"no session: {reason or shard.status.session}", f"{facts.on} logs {shard.name} --tail=100"
