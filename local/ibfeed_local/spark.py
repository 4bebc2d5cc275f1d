"""Spark in local mode, for the tests and the benchmark of the Spark job. Users run the job on a cluster of theirs."""

from __future__ import annotations

from pathlib import Path

from ibfeed_local import maven, peers
from ibfeed_local.state import SOURCE, State


def build(state: State) -> str:
    """Install pyspark in an environment of its own, and its Kafka source; return a word on what was done."""
    packages = peers.build(state, peers.SPARK)
    return f"packages {packages}, {maven.fetch(state, 'spark-jars', SOURCE / 'local' / 'spark', jars(state))}"


def jars(state: State) -> Path:
    """Return the folder of the jars that pyspark does not bring."""
    return state.root / "spark-jars" / "jars"


def submit(state: State) -> Path:
    """Return ``spark-submit``."""
    return peers.python(state, peers.SPARK).with_name("spark-submit")
