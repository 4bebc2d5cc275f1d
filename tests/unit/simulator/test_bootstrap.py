from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509

from ibfeed_simulator import bootstrap
from ibfeed_simulator.certificates import gateway_certificate
from ibfeed_simulator.venue import users


def decoded(secret: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_the_objects_agree_with_each_other(capsys: Any, tmp_path: Path) -> None:
    assert bootstrap.main(["--count", "3", "--namespace", "feeds"]) == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    found = {(d["metadata"]["namespace"], d["kind"], d["metadata"]["name"]): d for d in documents}
    assert set(found) == {
        ("ibfeed-simulator", "Secret", "venue-tls"),
        ("ibfeed-simulator", "Secret", "venue-users"),
        ("feeds", "ConfigMap", "ib-venue-ca"),
        ("feeds", "Secret", "ib-paper-accounts"),
    }
    (tmp_path / "users.json").write_text(decoded(found["ibfeed-simulator", "Secret", "venue-users"])["users.json"])
    known = users.load(tmp_path / "users.json")
    accounts = decoded(found["feeds", "Secret", "ib-paper-accounts"])
    assert len(known) == 3
    for index in (1, 2, 3):
        assert known[accounts[f"username-{index}"]].accepts(accounts[f"password-{index}"])
    tls = decoded(found["ibfeed-simulator", "Secret", "venue-tls"])
    authority = found["feeds", "ConfigMap", "ib-venue-ca"]["data"]["ca.crt"]
    certificate = x509.load_pem_x509_certificate(tls["tls.crt"].encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for service in ("ib-api", "vault"):
        assert f"{service}.ibfeed-simulator.svc.cluster.local" in names.get_values_for_type(x509.DNSName)


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    assert bootstrap.main(["--count", "1", "--directory", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == {"tls.crt", "tls.key", "ca.crt", "users.json", "accounts.json"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(folder / "tls.crt", folder / "tls.key")
    assert "paper1" in json.loads((folder / "accounts.json").read_text()).values()


def test_passwords_are_in_no_representation(tmp_path: Path) -> None:
    bootstrap.write(bootstrap.make(1), tmp_path)
    known = users.load(tmp_path / "users.json")["paper1"]
    assert known.password not in repr(known)


def test_the_gateway_s_certificate_is_always_the_same_and_as_odd_as_ib_s() -> None:
    made = gateway_certificate()
    assert made == gateway_certificate()
    certificate = x509.load_pem_x509_certificate(made.pem.encode())
    assert certificate.not_valid_after_utc.year == 2019
    assert not list(certificate.extensions)
