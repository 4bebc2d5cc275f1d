"""No secret, account number or user name leaves the cluster in a report, wherever somebody put it."""

from __future__ import annotations

import base64
import json
import re

import pytest

from ibfeed.bundle.redact import MASK, Redactor, redactor

PASSWORD = "hunter2-Swordfish"
USER = "desk7paper"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
ACCOUNT = "DU7654321"
PLANTED = (
    PASSWORD,
    USER,
    TOKEN,
    ACCOUNT,
    "s3cr3t-in-url",
    "planted-env",
    "planted-note",
    "planted-digest",
    "AAAAB3-key-body",
)
KEY = "-----BEGIN PRIVATE KEY-----\nAAAAB3-key-body-of-many\nAAAAB3-key-body-lines\n-----END PRIVATE KEY-----"
OF_CLUSTER = {"username-1": USER, "password-1": PASSWORD, "ca.crt": "public", "short": "1", "own.key": KEY}


@pytest.fixture
def redact() -> Redactor:
    return redactor([OF_CLUSTER], b"key")


OBJECT = {
    "kind": "Pod",
    "metadata": {
        "name": "energy-0",
        "annotations": {
            "example.com/api-key": "planted-note",
            "ibfeed.dev/user": "planted-digest",
            "example.com/note": f"log in as {USER}, account {ACCOUNT}",
            "kubectl.kubernetes.io/last-applied-configuration": f"password: {PASSWORD}",
        },
        "managedFields": [{"manager": PASSWORD}],
    },
    "spec": {
        "serviceAccountName": "energy-worker",
        "containers": [
            {
                "env": [
                    {"name": "DB_PASSWORD", "value": "planted-env"},
                    {"name": "HTTPS_PROXY", "value": "http://desk:s3cr3t-in-url@proxy:3128"},
                    {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "redis", "key": "password"}}},
                    {"name": "LEVEL", "value": "Info"},
                ],
                "args": [f"--token={TOKEN}", "--port=8080"],
            }
        ],
        "volumes": [{"secret": {"secretName": "ib-paper-accounts"}}],
    },
}


def test_planted_secrets_leave_an_object_and_the_rest_stays(redact: Redactor) -> None:
    found = redact.document(OBJECT)
    text = json.dumps(found)
    assert [secret for secret in PLANTED if secret in text] == []
    env = {entry["name"]: entry.get("value") for entry in found["spec"]["containers"][0]["env"]}
    assert env == {"DB_PASSWORD": MASK, "HTTPS_PROXY": f"http://{MASK}@proxy:3128", "FROM": None, "LEVEL": "Info"}
    assert found["spec"]["containers"][0]["env"][2]["valueFrom"] == {
        "secretKeyRef": {"name": "redis", "key": "password"}
    }
    assert found["spec"]["volumes"] == [{"secret": {"secretName": "ib-paper-accounts"}}]
    assert found["spec"]["containers"][0]["args"][1] == "--port=8080"
    assert found["metadata"]["name"] == "energy-0"


@pytest.mark.parametrize(
    "line",
    [
        f"login of {USER} failed, the password was {PASSWORD}",
        f"Authorization: Bearer {TOKEN}",
        f'{{"event": "login", "username": "{USER}", "password": "planted-env"}}',
        "sasl.password=planted-env sasl.username=desk7paper",
        f"account {ACCOUNT} is selected",
        "connecting to rediss://desk:s3cr3t-in-url@redis:6379/0",
        "https://example.com/?x=1&token=planted-env&y=2",
        "-----BEGIN RSA PRIVATE KEY-----\\nAAAAB3-key-body\\n-----END RSA PRIVATE KEY-----",
        f"{USER.upper()} is logged in elsewhere",
        f"data: {base64.b64encode(PASSWORD.encode()).decode()}",
        KEY,
        "10:00 AAAAB3-key-body-of-many\n10:00 AAAAB3-key-body-lines",
        "cookie x-sess-uuid=planted-env; Path=/",
    ],
)
def test_planted_secrets_leave_a_log(redact: Redactor, line: str) -> None:
    found = redact.text(f"before\n{line}\nafter\n")
    forms = (*PLANTED, base64.b64encode(PASSWORD.encode()).decode())
    assert [secret for secret in forms if secret.lower() in found.lower()] == []
    assert found.startswith("before\n")
    assert found.endswith("after\n")


def test_secret_of_kubernetes_keeps_its_keys_only(redact: Redactor) -> None:
    secret = {
        "kind": "Secret",
        "metadata": {"name": "x"},
        "data": {"password-1": "aHVudGVyMg=="},
        "stringData": {"b": "c"},
    }
    assert redact.document(secret) == {"kind": "Secret", "metadata": {"name": "x"}, "keys": ["b", "password-1"]}


def test_digest_tells_users_apart_within_one_report_only(redact: Redactor) -> None:
    other = redactor([OF_CLUSTER], b"another")
    first, again = (redact.text(f"user {name} here") for name in (USER, USER.upper()))
    assert first == again
    assert re.fullmatch(r"user id-[0-9a-f]{8} here", first)
    assert other.text(f"user {USER} here") != first


def test_ordinary_text_stays(redact: Redactor) -> None:
    for text in (
        "streaming CLZ6 at 71.90, lease ib-account-ib-paper-accounts-1, epoch 1795244400",
        "condition Ready is True: 3/3 workers",
        "topic ticklast[3]@17 is read by https://registry:8081",
        "sha256:f7b2a1c4 of image registry.example.com/ibfeed/worker:1.3.0",
    ):
        assert redact.text(text) == text
