"""The accounts' credentials, and what is held against an account, as far as it shows without a login."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from ibfeed.cluster import labels
from ibfeed.doctor.facts import FeedFacts, WatchedLease, known
from ibfeed.doctor.findings import FoundFault, Severity, error, warning
from ibfeed.doctor.seen import SeenLease

_SHOWN: Final = 6

NO_SECRET = error("secret-missing", "a Secret that the feed names is not there")
NO_KEY = error("secret-key-missing", "a Secret lacks a key (a warning for an account that no worker uses)")
PARKED = error("account-parked", "an account is parked: evidence is against its credentials")
FAILED = warning("account-failed-logins", "the latest logins of an account were refused")
SAME_USER = error("account-same-user", "two accounts have the same user name, and IB lets only one of them in")
TOO_FEW = error("account-none-left", "a worker has no account")
PENALTY = warning("account-penalty", "IB answers an address with 429: its workers ask nothing for 15 minutes")
PAGE = error("login-page-trouble", "IB's login page fails for several accounts alike")
VAULT = error("vault-unreachable", "a worker does not reach the vault, or may not read it")
NO_SECRET_IN_VAULT = error("credentials-missing", "a worker finds no user name or password for its account")
FAULTS = (NO_SECRET, NO_KEY, PARKED, FAILED, SAME_USER, TOO_FEW, PENALTY, PAGE, VAULT, NO_SECRET_IN_VAULT)


class _Trouble(msgspec.Struct, frozen=True):
    """As far as it is told here, an entry of the annotation ``page-trouble``."""

    reason: str
    text: str
    accounts: dict[str, str]
    ended: str | None = None


def check(facts: FeedFacts) -> Iterator[FoundFault]:
    """Check Secrets, the accounts' Leases and what workers say of their credentials."""
    yield from _secrets(facts)
    leases = [watched.lease for watched in known(facts.accounts, ())]
    for lease in leases:
        yield from _of_lease(lease, facts)
    yield from _same_user(known(facts.accounts, ()), facts)
    for shard in known(facts.shards, ()):
        about, reason = f"worker {shard.name}", shard.status.reason
        if shard.spec.account is None and not facts.feed.spec.suspend:
            accounts = facts.feed.spec.accounts
            count = max(accounts.count + 1, facts.feed.spec.workers)
            yield TOO_FEW.found(
                about,
                "it has no account",
                f"accounts {accounts.first} to {accounts.first + accounts.count - 1} are all in use, parked, or used"
                " by another feed",
                f'{facts.on} patch ibf/{facts.name} --type merge -p \'{{"spec":{{"accounts":{{"count":{count}}}}}}}\'',
            )
        elif reason in ("VaultUnreachable", "VaultDenied"):
            vault = facts.feed.spec.accounts.key_vault
            account = f"{facts.name}-worker"
            yield VAULT.found(
                about,
                f"it reads no credentials: {reason}",
                shard.status.message,
                f"{facts.on} get serviceaccount {account} -o yaml; curl -sSI {vault.url if vault else 'URL'}",
            )
        elif reason in ("CredentialsMissing", "SecretMissing"):
            yield NO_SECRET_IN_VAULT.found(
                about, f"it finds no credentials: {reason}", shard.status.message, _credentials(facts)
            )


def _secrets(facts: FeedFacts) -> Iterator[FoundFault]:
    secrets = known(facts.secrets, {})
    accounts, kafka = facts.feed.spec.accounts, facts.feed.spec.kafka
    fields = {
        "spec.accounts.secretRef": accounts.secret_ref,
        "spec.kafka.secretRef": kafka.secret_ref,
        "spec.kafka.caSecretRef": kafka.ca_secret_ref,
        "spec.kafka.schemaRegistry.secretRef": kafka.schema_registry.secret_ref if kafka.schema_registry else None,
    }
    for field, reference in fields.items():
        if reference is None or reference.name not in secrets:
            continue
        keys = secrets[reference.name]
        if keys is None:
            mine = field == "spec.accounts.secretRef"
            source = "--from-env-file=ACCOUNTS" if mine else "--from-file=KEY=FILE"  # no secret in a process list
            yield NO_SECRET.found(
                f"Secret {reference.name}",
                "it is not there",
                f"{field} names it, and namespace {facts.namespace} has none of that name",
                f"{facts.on} create secret generic {reference.name} {source}",
            )
        elif field == "spec.accounts.secretRef":
            yield from _account_keys(reference.name, keys, facts)
        elif reference.key and reference.key not in keys:
            yield _key_missing(reference.name, [reference.key], f"{field}.key names it", facts, Severity.ERROR)
        elif field == "spec.kafka.secretRef" and (lacking := _kafka_keys(kafka.sasl_mechanism, keys)):
            yield _key_missing(reference.name, lacking, f"{kafka.sasl_mechanism} needs it", facts, Severity.ERROR)


def _account_keys(secret: str, keys: frozenset[str], facts: FeedFacts) -> Iterator[FoundFault]:
    used = {shard.spec.account.index for shard in known(facts.shards, ()) if shard.spec.account is not None}
    for severity, indices in (
        (Severity.ERROR, [index for index in facts.feed.spec.accounts.indices if index in used]),
        (Severity.WARNING, [index for index in facts.feed.spec.accounts.indices if index not in used]),
    ):
        wanted = [f"{word}-{index}" for index in indices for word in ("username", "password")]
        if lacking := [key for key in wanted if key not in keys]:
            why = "a worker logs in with it" if severity is Severity.ERROR else "spec.accounts promises the account"
            yield _key_missing(secret, lacking, why, facts, severity)


def _key_missing(secret: str, keys: list[str], why: str, facts: FeedFacts, severity: Severity) -> FoundFault:
    shown = ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
    return NO_KEY.found(
        f"Secret {secret}",
        f"it lacks {shown}",
        why,
        f"{facts.on} patch secret {secret} --patch-file FILE   # FILE: stringData: {{{keys[0]}: VALUE, ...}}",
        severity=severity,
    )


def _kafka_keys(mechanism: str, keys: frozenset[str]) -> list[str]:
    if mechanism == "OAUTHBEARER":
        return [key for key in ("client-id", "client-secret") if key not in keys]
    if not mechanism or {"password", "sasl.jaas.config"} <= keys:
        return []
    return [key for key in ("username", "password") if key not in keys]


def _of_lease(lease: SeenLease, facts: FeedFacts) -> Iterator[FoundFault]:
    told, about = lease.metadata.annotations, f"account {_index(lease)}"
    clear = f"{facts.on} annotate lease/{lease.name} {labels.PARKED}- {labels.FAILED_LOGINS}- {labels.NEXT_LOGIN}-"
    if parked := told.get(labels.PARKED):
        yield PARKED.found(
            about,
            f"it is parked: {parked}",
            f'IB said "{told[labels.LAST_FAILURE]}"'
            if told.get(labels.LAST_FAILURE)
            else "its worker found evidence against its credentials",
            f"{_credentials(facts)}; {clear}",
            # With others in reserve the feed goes on.
            severity=Severity.ERROR if _is_used(lease, facts) else Severity.WARNING,
        )
    elif (failed := told.get(labels.FAILED_LOGINS, "0")).isdecimal() and int(failed):
        yield FAILED.found(
            about,
            f"its latest {failed} logins were refused",
            f'IB said "{told.get(labels.LAST_FAILURE, "")}"; it is tried again by itself',
            f"{_credentials(facts)}; {clear}",
        )
    if _is_of_logins(lease):
        for address, until in _penalties(told.get(labels.PENALTIES, ""), facts):
            yield PENALTY.found(
                f"address {address}",
                f"IB answers it with 429, until {until}",
                "more requests than IB allows came from this address, also from other programs",
                f"{facts.on} get lease/{lease.name} -o yaml",
            )
        for trouble in _troubles(told.get(labels.PAGE_TROUBLE, "")):
            if trouble.ended is None and len(trouble.accounts) > 1:
                yield PAGE.found(
                    "IB's login page",
                    f"it fails for accounts {', '.join(sorted(trouble.accounts))}: {trouble.reason}",
                    f'it says "{trouble.text}"; no account is parked for it, and one at a time tries again',
                    f"{facts.on} annotate lease/{lease.name} {labels.PAGE_TROUBLE}-",
                )


def _is_used(lease: SeenLease, facts: FeedFacts) -> bool:
    return any(shard.spec.account and shard.spec.account.lease == lease.name for shard in known(facts.shards, ()))


def _is_of_logins(lease: SeenLease) -> bool:
    return lease.name.endswith("-logins")


def _index(lease: SeenLease) -> str:
    return lease.name.rpartition("-")[2]


def _penalties(text: str, facts: FeedFacts) -> Iterator[tuple[str, str]]:
    try:
        found = msgspec.json.decode(text or "{}", type=dict[str, str])
    except msgspec.DecodeError:
        return
    now = facts.now.isoformat()
    yield from ((address, until) for address, until in sorted(found.items()) if until > now[:19])


def _troubles(text: str) -> tuple[_Trouble, ...]:
    try:
        return msgspec.json.decode(text or "[]", type=tuple[_Trouble, ...])
    except msgspec.DecodeError:
        return ()


def _same_user(accounts: tuple[WatchedLease, ...], facts: FeedFacts) -> Iterator[FoundFault]:
    by_user: dict[str, list[str]] = defaultdict(list)
    for watched in accounts:
        if user := watched.lease.metadata.annotations.get(labels.USER):
            by_user[user].append(_index(watched.lease))
    for indices in by_user.values():
        if len(indices) > 1:
            yield SAME_USER.found(
                f"accounts {', '.join(sorted(indices))}",
                "they have the same user name",
                "IB has one session for a user: a login with one of them ends the other's",
                _credentials(facts),
            )
    for shard in known(facts.shards, ()):
        if shard.spec.account is not None and shard.spec.account.used_by:
            yield SAME_USER.found(
                f"worker {shard.name}",
                f"account {shard.spec.account.index} has the same user name as that of {shard.spec.account.used_by}",
                "IB has one session for a user",
                _credentials(facts),
            )


def _credentials(facts: FeedFacts) -> str:
    accounts = facts.feed.spec.accounts
    if accounts.secret_ref is not None:
        return f"{facts.on} edit secret {accounts.secret_ref.name}"
    vault = accounts.key_vault.url.split("//")[-1].split(".")[0] if accounts.key_vault is not None else "VAULT"
    return f"az keyvault secret set --vault-name {vault} --name NAME --file FILE"
