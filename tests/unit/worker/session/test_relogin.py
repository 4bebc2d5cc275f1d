"""A nightly login into a page that refuses everybody would lose a session that is well."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from ibfeed_api.feed import Accounts, Kafka, Region, SecretRef, WorkerSpec
from ibfeed_api.logins import PageTrouble
from ibfeed_worker.config import Config
from ibfeed_worker.kube.client import Kube
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.worker import Worker
from support.clock import run

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)


def config() -> Config:
    nowhere = Path("/nowhere")
    spec = WorkerSpec(
        accounts=Accounts(secret_ref=SecretRef(name="paper")), kafka=Kafka(bootstrap_servers="kafka:9092")
    )
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


def test_a_nightly_login_waits_for_the_page_as_long_as_it_can() -> None:
    async def act() -> None:
        nothing: Any = None
        worker = Worker(config(), cast("Kube", nothing), Metrics())
        usual = worker._appointment(Region.AMERICA, 1)
        trouble = PageTrouble(reason="SecondFactorAsked", text="", since=NOW, accounts={1: NOW, 2: NOW})
        worker._logins.pool.trouble = trouble
        waiting = worker._appointment(Region.AMERICA, 1)
        assert usual.due < usual.latest
        assert (waiting.due, waiting.latest) == (usual.latest, usual.latest)
        worker._logins.pool.trouble = None
        assert worker._appointment(Region.AMERICA, 1) == usual

    run(act())
