"""The reason why records cannot be published, and a sentence to act on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from ibfeed_api.feed import Kafka
from ibfeed_api.kafka_security import KafkaCredentials
from ibfeed_api.reasons import Reason

# Reasons that may end when the Secrets change.
REFUSED: Final = frozenset(
    {
        Reason.KAFKA_CREDENTIALS,
        Reason.KAFKA_TLS,
        Reason.KAFKA_SECRET,
        Reason.KAFKA_LISTENER,
        Reason.SCHEMA_REGISTRY_REFUSED,
    }
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A reason for scripts, and a text for a person: the cause with its address, and what to do."""

    reason: Reason
    text: str


class Fault(Enum):
    """The fault of an address, as seen from here."""

    NONE = "none"
    UNRESOLVED = "unresolved"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    UNROUTED = "unrouted"
    UNTRUSTED = "untrusted"  # the certificate's authority is not ours
    NAMED_OTHERWISE = "named otherwise"  # the certificate is for another name
    EXPIRED = "expired"  # the certificate has expired
    SPEAKS_PLAIN = "speaks plain"  # it speaks plain, and we speak TLS
    SPEAKS_TLS = "speaks TLS"  # it speaks TLS, and we do not
    TLS_BROKEN = "TLS broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of trying one address. ``detail`` is the text of the system or of OpenSSL."""

    address: str
    fault: Fault
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """An error of the client library: its code's name, and its text, which begins with the broker's address."""

    code: str
    text: str


def of_bootstrap(findings: Sequence[Finding], heard: Iterable[Heard], kafka: Kafka, who: KafkaCredentials) -> Trouble:
    """Return why no broker of ``kafka.bootstrap_servers`` has told anything. ``findings``: those of their addresses."""
    if (refused := of_refusal(heard, kafka, who)) is not None:
        return refused
    faults = [finding for finding in findings if finding.fault is not Fault.NONE]
    if faults:
        return _of_address(faults[0], "kafka.bootstrapServers names {address}, which", Reason.KAFKA_BOOTSTRAP, kafka)
    if not kafka.security_protocol.startswith("SASL"):
        return Trouble(
            Reason.KAFKA_LISTENER,
            f"{kafka.bootstrap_servers} takes connections and closes them when asked: it is no Kafka, or asks for SASL"
            f" while kafka.securityProtocol is {kafka.security_protocol}: use its port for that, or set"
            " securityProtocol",
        )
    return Trouble(
        Reason.KAFKA_BOOTSTRAP,
        f"{kafka.bootstrap_servers} takes connections and tells nothing: look at the brokers' logs",
    )


def of_broker(broker: int, finding: Finding, heard: Iterable[Heard], kafka: Kafka, who: KafkaCredentials) -> Trouble:
    """Return why a broker that leads partitions of ours does not answer at the address that it tells clients."""
    if finding.fault is not Fault.NONE:
        text = f"broker {broker} tells clients that it is at {{address}}, which"
        return _of_address(finding, text, Reason.KAFKA_ADVERTISED, kafka)
    mine = [event for event in heard if finding.address in event.text]
    if (refused := of_refusal(mine, kafka, who)) is not None:
        return refused
    return Trouble(
        Reason.KAFKA_UNANSWERED,
        f"broker {broker} at {finding.address} takes connections and does not answer: look at its log and its load",
    )


def of_refusal(heard: Iterable[Heard], kafka: Kafka, who: KafkaCredentials) -> Trouble | None:
    """Return that our identity is refused, if the client library's errors say so.

    An error names the broker before its text, unless it never came so far: without a token no broker is asked.
    """
    for event in heard:
        where, colon, detail = event.text.partition(": ")
        if colon and "://" in where:
            where = where.rpartition("://")[2].rpartition("/")[0]
        else:
            where, detail = kafka.oauth.token_endpoint if kafka.oauth else kafka.bootstrap_servers, event.text
        said = detail.rpartition(" (after ")[0] or detail
        if event.code == "_AUTHENTICATION":
            return Trouble(Reason.KAFKA_CREDENTIALS, f"{where} refuses us: {said}; {_credentials_advice(kafka, said)}")
        if "alert" in said and "SSL" in said:
            return Trouble(
                Reason.KAFKA_TLS, f"{where} refuses our certificate: {_alert(said)}; {_tls_advice(kafka, who)}"
            )
    return None


def _credentials_advice(kafka: Kafka, said: str) -> str:
    secret = kafka.secret_ref.name if kafka.secret_ref else ""
    if "mechanism" in said and "supported" in said:
        return "correct kafka.saslMechanism, or use a port where SASL is spoken"
    if kafka.oauth is not None and ("token" in said.lower() or "oidc" in said.lower()):
        return f"check kafka.oauth.tokenEndpoint, and client-id and client-secret in Secret {secret}"
    return f"correct Secret {secret} of kafka.secretRef; it is read again by itself"


def _tls_advice(kafka: Kafka, who: KafkaCredentials) -> str:
    secret = kafka.secret_ref.name if kafka.secret_ref else ""
    if not who.certificate:
        return "it asks for one: give user.crt and user.key in the Secret of kafka.secretRef"
    until = f" It ends on {_day(who.expires)}." if who.expires else ""
    return (
        f"user.crt in Secret {secret} must not have expired, and the brokers must trust its CA for clients;"
        f" it is read again by itself.{until}"
    )


def _alert(said: str) -> str:
    """Cut ``... alert bad certificate: SSL alert number 42`` to the part that is not only for a programmer."""
    return said.rpartition("alert ")[0].rpartition("alert ")[2].rpartition(":")[0] or said


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def _of_address(finding: Finding, intro: str, reason: Reason, kafka: Kafka) -> Trouble:
    address, detail = finding.address, finding.detail
    who = intro.format(address=address)
    tls = f"the certificate of {address}"
    ca = "key ca.crt of kafka.secretRef"
    if kafka.ca_secret_ref is not None:
        ca = f"Secret {kafka.ca_secret_ref.name} of kafka.caSecretRef"
    advertised = reason is Reason.KAFKA_ADVERTISED
    there = "correct the broker's advertised.listeners" if advertised else "correct the address"
    match finding.fault:
        case Fault.UNRESOLVED:
            return Trouble(reason, f"{who} does not resolve ({detail}): {there}, or the name in DNS")
        case Fault.REFUSED:
            return Trouble(reason, f"{who} refuses connections: {there}{_of_ourselves(address)}, or start the broker")
        case Fault.UNANSWERED | Fault.UNROUTED:
            return Trouble(
                reason, f"{who} does not answer ({detail}): {there}, or let the pods reach it (NetworkPolicy, firewall)"
            )
        case Fault.UNTRUSTED:
            text = f"{tls} is not signed by the CA that we have ({detail}): put the brokers' CA into {ca}"
            return Trouble(Reason.KAFKA_TLS, text)
        case Fault.NAMED_OTHERWISE:
            text = f"{tls} is for another name ({detail}): renew it with this name, or use one that it has"
            return Trouble(Reason.KAFKA_TLS, text)
        case Fault.EXPIRED:
            return Trouble(Reason.KAFKA_TLS, f"{tls} is out of date ({detail}): renew it at the broker")
        case Fault.SPEAKS_PLAIN:
            return Trouble(
                Reason.KAFKA_LISTENER,
                f"{address} does not speak TLS, and kafka.securityProtocol is {kafka.security_protocol}:"
                " use the brokers' port for TLS, or set securityProtocol",
            )
        case Fault.SPEAKS_TLS:
            return Trouble(
                Reason.KAFKA_LISTENER,
                f"{address} speaks TLS, and kafka.securityProtocol is {kafka.security_protocol}:"
                " set securityProtocol to SSL or SASL_SSL, or use a port without TLS",
            )
        case _:
            return Trouble(Reason.KAFKA_TLS, f"TLS with {address} fails: {detail}; look at the broker's log")


def _of_ourselves(address: str) -> str:
    host = address.rpartition(":")[0]
    return " (this one is the pod itself)" if host in ("localhost", "[::1]") or host.startswith("127.") else ""
