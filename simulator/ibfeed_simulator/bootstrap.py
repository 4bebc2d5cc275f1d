"""``python -m ibfeed_simulator.bootstrap``: keys and passwords for the simulator, and for the feeds that use it.

It prints Kubernetes objects: certificate and users for the simulator, authority and paper accounts for the feed's
namespace. ``--directory`` writes the same as files. Each call makes new keys and passwords.
"""

from __future__ import annotations

import argparse
import base64
import json
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ibfeed_simulator.certificates import Issued, issue

NAMESPACE = "ibfeed-simulator"
SERVICES = ("ib-api", "vault")


@dataclass(frozen=True)
class Account:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Material:
    tls: Issued
    accounts: tuple[Account, ...]


def hosts() -> list[str]:
    """Return every name by which the simulator's Services are called, and the names for use without a cluster."""
    names = [
        f"{service}.{suffix}"
        for service in SERVICES
        for suffix in (f"{NAMESPACE}.svc.cluster.local", f"{NAMESPACE}.svc", NAMESPACE)
    ]
    return [*names, "localhost", "127.0.0.1"]


def make(count: int) -> Material:
    accounts = tuple(Account(f"paper{index}", secrets.token_urlsafe(12)) for index in range(1, count + 1))
    return Material(issue(hosts()), accounts)


def users_json(material: Material) -> str:
    """Return the venue's user file."""
    users = [
        {"username": account.username, "password": account.password, "account": f"DU{1_000_000 + index}", "paper": True}
        for index, account in enumerate(material.accounts, start=1)
    ]
    return json.dumps({"users": users}, indent=1)


def account_keys(material: Material) -> dict[str, str]:
    """Return the keys and values ``username-1``, ``password-1`` and so on."""
    return {
        f"{key}-{index}": value
        for index, account in enumerate(material.accounts, start=1)
        for key, value in (("username", account.username), ("password", account.password))
    }


def objects(material: Material, namespace: str) -> list[dict[str, object]]:
    tls = {"tls.crt": material.tls.certificate, "tls.key": material.tls.key}
    return [
        _secret("venue-tls", NAMESPACE, tls, "kubernetes.io/tls"),
        _secret("venue-users", NAMESPACE, {"users.json": users_json(material)}),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "ib-venue-ca", "namespace": namespace},
            "data": {"ca.crt": material.tls.authority},
        },
        _secret("ib-paper-accounts", namespace, account_keys(material)),
    ]


def _secret(name: str, namespace: str, data: dict[str, str], kind: str = "Opaque") -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def write(material: Material, directory: Path) -> None:
    """Write ``tls.crt``, ``tls.key``, ``ca.crt``, ``users.json`` and ``accounts.json``, readable by the owner only."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {
        "tls.crt": material.tls.certificate,
        "tls.key": material.tls.key,
        "ca.crt": material.tls.authority,
        "users.json": users_json(material),
        "accounts.json": json.dumps(account_keys(material), indent=1),
    }
    for name, text in files.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ibfeed_simulator.bootstrap", description=__doc__)
    parser.add_argument("--count", type=int, default=10, help="paper accounts")
    parser.add_argument("--namespace", default="default", help="of the feeds")
    parser.add_argument("--directory", type=Path, help="write files here instead of printing objects")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error("--count must be at least 1")
    material = make(options.count)
    if options.directory is not None:
        write(material, options.directory)
    else:
        yaml.safe_dump_all(objects(material, options.namespace), sys.stdout, sort_keys=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
