"""Short ways to write typed values in tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ibfeed_api.feed import Accounts, FeedSpec, Kafka, Root, SecretRef, WorkerSpec
from ibfeed_api.shard import Account, Entry, KafkaStatus, Session, ShardSpec, ShardStatus
from ibfeed_operator.model.types import AccountLease, Contract, Feed, Pod, Shard
from ibfeed_worker.config import Config
from support.entries import entry as entry

STARTED = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def feed(**spec: Any) -> Feed:
    defaults: dict[str, Any] = {
        "roots": (Root(symbol="CL"),),
        "accounts": Accounts(secret_ref=SecretRef(name="paper"), count=10),
        "kafka": Kafka(bootstrap_servers="kafka:9092"),
        "workers": 3,
        "front_months": 6,
    }
    return Feed(namespace="default", name="energy", uid="u", generation=1, spec=FeedSpec(**(defaults | spec)))


def contract(conid: int, *, root: str = "CL", day: str = "20271220", slot: int = 0, depth: bool = False) -> Contract:
    return Contract(
        conid=conid,
        root=root,
        symbol=f"{root}{conid}",
        exchange="NYMEX",
        contract_month=day[:6],
        last_trading_day=day,
        slot=slot,
        depth=depth,
    )


def shard(
    worker: int, *entries: Entry, session: Session | None = Session.STREAMING, started_at: str = "", **status: Any
) -> Shard:
    return Shard(
        name=f"energy-{worker}",
        worker=worker,
        uid=f"s{worker}",
        resource_version="1",
        spec=ShardSpec(
            feed="energy",
            worker=worker,
            account=Account(source="paper", index=worker + 1, lease=f"ib-account-paper-{worker + 1}"),
            contracts=entries,
        ),
        status=None
        if session is None
        else ShardStatus(
            session=session,
            started_at=started_at or STARTED.isoformat(),
            **({"kafka": KafkaStatus(reachable=True)} | status),
        ),
    )


def pod(worker: int, **more: Any) -> Pod:
    facts: dict[str, Any] = {
        "name": f"energy-{worker}",
        "worker": worker,
        "uid": f"p{worker}",
        "container_running": True,
        "container_started_at": STARTED,
        "ready": True,
        "ip": f"10.0.0.{worker + 1}",
    }
    return Pod(**(facts | more))


def lease(worker: int, *, age: float = 0.0, holder: str | None = None, **more: Any) -> AccountLease:
    return AccountLease(
        name=f"ib-account-paper-{worker + 1}",
        source="paper",
        index=worker + 1,
        holder=f"energy-{worker}_p{worker}" if holder is None else holder,
        renew_seen_age_s=age,
        **more,
    )


def worker_config(spec: WorkerSpec) -> Config:
    """The configuration of worker ``energy-0``, whose files and ports nothing uses."""
    nowhere = Path("/nowhere")
    return Config(
        pod="energy-0",
        namespace="markets",
        pod_uid="u",
        node="here",
        feed="energy",
        spec=spec,
        extra_ca=None,
        gateway_folder=nowhere,
        gateway_port=1,
        http_port=1,
        chromium=nowhere,
        chromedriver=nowhere,
    )
