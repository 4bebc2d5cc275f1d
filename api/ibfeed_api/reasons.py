"""Condition types and reasons. People and scripts match on them, so they do not change."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """Condition types in ``IbFeed.status.conditions``. All of them are there from the first reconcile on."""

    READY = "Ready"
    UNIVERSE_RESOLVED = "UniverseResolved"
    COVERED = "Covered"
    REBALANCING = "Rebalancing"
    PLACEMENT_HONORED = "PlacementHonored"
    STANDBYS_READY = "StandbysReady"
    ACCOUNTS_AVAILABLE = "AccountsAvailable"
    KAFKA_REACHABLE = "KafkaReachable"
    MARKET_DATA_LIVE = "MarketDataLive"
    SUSPENDED = "Suspended"


class Reason(StrEnum):
    """Reasons of conditions and of ``IbShard.status.reason``."""

    # Of conditions.
    STREAMING = "Streaming"
    PROGRESSING = "Progressing"
    UPDATING = "Updating"  # a rolling update of the workers is under way
    SUSPENDED = "Suspended"
    NOT_SUSPENDED = "NotSuspended"
    RESOLVED = "Resolved"
    UNKNOWN_ROOT = "UnknownRoot"
    AMBIGUOUS_ROOT = "AmbiguousRoot"
    UNUSABLE_CONTRACT = "UnusableContract"
    UNIVERSE_SHRANK = "UniverseShrank"
    RESOLVE_FAILED = "ResolveFailed"
    WAITING_FOR_WORKER = "WaitingForWorker"
    ALL_PUBLISHING = "AllPublishing"
    UNASSIGNED = "Unassigned"
    NOT_PUBLISHING = "NotPublishing"
    PUBLISHED_TWICE = "PublishedTwice"
    STABLE = "Stable"
    MOVING = "Moving"
    NOTHING_ASKED = "NothingAsked"
    HONORED = "Honored"
    INVALID_ANNOTATION = "InvalidAnnotation"
    PIN_UNMET = "PinUnmet"
    DRAIN_INCOMPLETE = "DrainIncomplete"
    DRAINING = "Draining"
    DRAINED = "Drained"
    ALL_WARM = "AllWarm"  # each contract has a standby that would go on with it
    WARMING = "Warming"
    ACCOUNTS_LEASED = "AccountsLeased"
    TOO_FEW_ACCOUNTS = "TooFewAccounts"
    SECRET_MISSING = "SecretMissing"
    NO_WORKERS = "NoWorkers"
    CAPACITY = "Capacity"
    KAFKA_OK = "Reachable"
    KAFKA_UNREACHABLE = "Unreachable"
    # Why a worker cannot publish, in IbShard.status.kafka and in KafkaReachable.
    KAFKA_ADVERTISED = "AdvertisedAddressUnreachable"  # bootstrap answers; the advertised address does not
    KAFKA_BOOTSTRAP = "BootstrapUnreachable"
    KAFKA_CONFIG = "KafkaConfigRefused"
    KAFKA_CREDENTIALS = "CredentialsRefused"
    KAFKA_LISTENER = "SecurityProtocolMismatch"  # the listener speaks another protocol than securityProtocol says
    KAFKA_NO_LEADER = "LeaderNotAvailable"
    KAFKA_REPLICAS = "NotEnoughReplicas"
    KAFKA_RIGHTS = "NotAuthorized"
    KAFKA_SECRET = "KafkaSecretUnusable"
    KAFKA_TLS = "TlsFailed"
    SCHEMA_REGISTRY_AWAY = "SchemaRegistryUnreachable"
    SCHEMA_REGISTRY_REFUSED = "SchemaRegistryRefused"
    KAFKA_TOO_LARGE = "MessageTooLarge"
    KAFKA_TOPIC = "TopicMismatch"  # missing, or with another number of partitions
    KAFKA_UNANSWERED = "NotAcknowledged"  # the brokers answer, but records wait too long for their acknowledgement
    LIVE = "Live"
    DELAYED = "NotLive"
    INVALID_SPEC = "InvalidSpec"
    RECONCILE_FAILED = "ReconcileFailed"
    POD_NOT_RUNNING = "PodNotRunning"
    POD_REFUSED = "PodRefused"  # the API server refuses to create it: a quota, a policy, a webhook
    NODE_UNREACHABLE = "NodeUnreachable"
    SETTLING = "Settling"
    UNKNOWN = "Unknown"
    # Of a shard's session.
    LOGIN_FAILED = "LoginFailed"
    WRONG_CREDENTIALS = "WrongCredentials"
    WRONG_MODE = "WrongMode"
    ACCOUNT_LOCKED = "AccountLocked"
    ACCOUNT_PARKED = "AccountParked"
    ACCOUNT_HELD = "AccountHeldElsewhere"
    SECOND_FACTOR = "SecondFactorAsked"
    LOGIN_PAGE_CHANGED = "LoginPageChanged"
    LOGIN_PAGE_UNKNOWN = "LoginPageUnknown"  # a page between password and login that only its owner may answer
    LOGIN_PAGE_TROUBLE = "LoginPageTrouble"  # the page fails for several accounts alike: no account is at fault
    LOGIN_TIMEOUT = "LoginTimeout"
    BROWSER_FAILED = "BrowserFailed"
    NOT_PAPER = "NotPaper"
    COMPETING = "Competing"
    CREDENTIALS_MISSING = "CredentialsMissing"
    VAULT_UNREACHABLE = "VaultUnreachable"
    VAULT_DENIED = "VaultDenied"
    GATEWAY_BROKEN = "GatewayBroken"
    GATEWAY_DIED = "GatewayDied"
    GATEWAY_SILENT = "GatewaySilent"
    GATEWAY_SICK = "GatewaySick"  # its log says that only a new process helps
    GATEWAY_PORT_TAKEN = "GatewayPortTaken"
    NONSENSE_ANSWER = "NonsenseAnswer"  # HTML, no JSON, or JSON that no source describes
    UPSTREAM_UNREACHABLE = "UpstreamUnreachable"
    SESSION_LOST = "SessionLost"
    SESSION_DENIED = "SessionDenied"  # IB denies a session that streams
    FEED_SILENT = "FeedSilent"  # heartbeats go on, market data does not although it should
    CONTRACT_SILENT = "ContractSilent"  # the same for some of the contracts
    SUBSCRIPTION_REFUSED = "SubscriptionRefused"  # IB answered a subscription with an error
    LEASE_LOST = "LeaseLost"
    PENALTY_BOX = "PenaltyBox"
    DAILY_RESET = "DailyReset"  # lost, or not to be had, within IB's daily reset
    RELOGIN_DUE = "ReloginDue"  # its scheduled login is due: it streams until relieved, then logs in
    LEAVING = "Leaving"  # told to stop, and streaming until its contracts are handed over
    WORKER_FAILED = "WorkerFailed"  # a part of the worker ended that should not have: our own fault
    STOPPED = "Stopped"
