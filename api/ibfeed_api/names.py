"""Names that all parts must spell the same way: API group, labels, annotations, conditions, reasons, topics."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

GROUP: Final = "ibfeed.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FEED_KIND: Final = "IbFeed"
FEED_PLURAL: Final = "ibfeeds"
SHARD_KIND: Final = "IbShard"
SHARD_PLURAL: Final = "ibshards"

# Who writes what: server-side apply keeps one owner for each field.
OPERATOR_FIELD_MANAGER: Final = "ibfeed-operator"
WORKER_FIELD_MANAGER: Final = "ibfeed-worker"

LABEL_FEED: Final = f"{GROUP}/feed"
LABEL_WORKER: Final = f"{GROUP}/worker"
LABEL_SOURCE: Final = f"{GROUP}/account-source"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
NAME: Final = "ibfeed"
COMPONENT_WORKER: Final = "worker"
COMPONENT_ACCOUNT: Final = "account"

# On an account's Lease. They outlive the pod: IB locks a user out after a few wrong passwords, whoever typed them.
ANNOTATION_FAILED_LOGINS: Final = f"{GROUP}/failed-logins"
ANNOTATION_LAST_FAILURE: Final = f"{GROUP}/last-failure"
ANNOTATION_NEXT_LOGIN: Final = f"{GROUP}/next-login"
ANNOTATION_LOST_TO_OTHERS: Final = f"{GROUP}/lost-to-others"
ANNOTATION_PARKED: Final = f"{GROUP}/parked"
ANNOTATION_SESSION_OPEN: Final = f"{GROUP}/session-open"  # since when; taken away by the logout
ANNOTATION_HISTORY: Final = f"{GROUP}/history"  # logins.History
# A digest of the account's user name, which one user name gives wherever it stands: no two workers may use one user.
ANNOTATION_USER: Final = f"{GROUP}/user"
ANNOTATION_USER_SINCE: Final = f"{GROUP}/user-since"  # since when the account has been this user's

# On the Lease of the source's logins. JSON: address to the moment until which it is to be silent; logins.PageTrouble.
ANNOTATION_PENALTIES: Final = f"{GROUP}/penalties"
ANNOTATION_PAGE_TROUBLE: Final = f"{GROUP}/page-trouble"

# What people ask of the placement. On an IbShard: "true" moves its contracts away and gives it no others. On an IbFeed:
# "CLZ6=1,NGF7=0", each a contract's symbol and the number of the worker that shall have it.
ANNOTATION_DRAIN: Final = f"{GROUP}/drain"
ANNOTATION_PIN: Final = f"{GROUP}/pin"

# On a StatefulSet whose pods are refused: changed each minute, so that its controller tries again.
ANNOTATION_ASKED_AGAIN: Final = f"{GROUP}/asked-again"

WORKER_CONTAINER: Final = "worker"
WORKER_PORT: Final = 8080
GATEWAY_PORT: Final = 5000
LOGIN_SPACING_S: Final = 2.0  # between the logins of workers that are lost, or started, together
KAFKA_ANSWER_S: Final = 3.0  # a worker whose record has waited for so long says that it cannot publish
KAFKA_LOOK_S: Final = 4.5  # within so much one that has nothing to publish finds out that it could not
KAFKA_PAUSE_S: Final = 15.0  # a worker that cannot publish tries again after so much at the latest

TOPIC_TICKS: Final = "ticklast"
TOPIC_DEPTH: Final = "l2-data"
TOPIC_EVENTS: Final = "feed-events"
TOPIC_CONTRACTS: Final = "contracts"
HEADER_EPOCH: Final = "epoch"
HEADER_WORKER: Final = "worker"
HEADER_SCHEMA: Final = "schema"


class Condition(StrEnum):
    """Condition types in ``IbFeed.status.conditions``; each is there from the first visit on."""

    READY = "Ready"
    UNIVERSE_RESOLVED = "UniverseResolved"
    COVERED = "Covered"
    REBALANCING = "Rebalancing"
    PLACEMENT_HONORED = "PlacementHonored"
    ACCOUNTS_AVAILABLE = "AccountsAvailable"
    KAFKA_REACHABLE = "KafkaReachable"
    MARKET_DATA_LIVE = "MarketDataLive"
    SUSPENDED = "Suspended"


class Reason(StrEnum):
    """Reasons of conditions and of ``IbShard.status.reason``; a person or a script may match on them."""

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
    ACCOUNTS_LEASED = "AccountsLeased"
    TOO_FEW_ACCOUNTS = "TooFewAccounts"
    SECRET_MISSING = "SecretMissing"
    NO_WORKERS = "NoWorkers"
    CAPACITY = "Capacity"
    KAFKA_OK = "Reachable"
    KAFKA_UNREACHABLE = "Unreachable"
    # Why a worker cannot publish: of IbShard.status.kafka, and of KafkaReachable.
    KAFKA_ADVERTISED = "AdvertisedAddressUnreachable"  # bootstrap answers; where a broker says it is does not
    KAFKA_BOOTSTRAP = "BootstrapUnreachable"
    KAFKA_CONFIG = "KafkaConfigRefused"
    KAFKA_CREDENTIALS = "CredentialsRefused"
    KAFKA_LISTENER = "SecurityProtocolMismatch"  # the listener speaks another protocol than securityProtocol says
    KAFKA_NO_LEADER = "LeaderNotAvailable"
    KAFKA_REPLICAS = "NotEnoughReplicas"
    KAFKA_RIGHTS = "NotAuthorized"
    KAFKA_SECRET = "KafkaSecretUnusable"
    KAFKA_TLS = "TlsFailed"
    KAFKA_TOO_LARGE = "MessageTooLarge"
    KAFKA_TOPIC = "TopicMismatch"  # missing, or of another number of partitions
    KAFKA_UNANSWERED = "NotAcknowledged"  # the brokers answer, and records wait too long all the same
    LIVE = "Live"
    DELAYED = "NotLive"
    INVALID_SPEC = "InvalidSpec"
    RECONCILE_FAILED = "ReconcileFailed"
    POD_NOT_RUNNING = "PodNotRunning"
    POD_REFUSED = "PodRefused"  # the API server does not let it be created: a quota, a policy, a webhook
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
    LOGIN_PAGE_TROUBLE = "LoginPageTrouble"  # the page fails for several accounts alike: it is not one account
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
    NONSENSE_ANSWER = "NonsenseAnswer"  # HTML, or no JSON, or JSON that no source describes
    UPSTREAM_UNREACHABLE = "UpstreamUnreachable"
    SESSION_LOST = "SessionLost"
    SESSION_DENIED = "SessionDenied"  # IB says that it knows no session, of one that streams
    FEED_SILENT = "FeedSilent"  # heartbeats go on, market data does not although it should
    CONTRACT_SILENT = "ContractSilent"  # the same of some of the contracts
    SUBSCRIPTION_REFUSED = "SubscriptionRefused"  # IB answered a subscription with an error
    LEASE_LOST = "LeaseLost"
    PENALTY_BOX = "PenaltyBox"
    DAILY_RESET = "DailyReset"  # lost, or not to be had, within IB's daily reset
    RELOGIN_DUE = "ReloginDue"  # streaming until relieved, to log in anew on schedule; then logging in
    LEAVING = "Leaving"  # told to stop, and streaming until its contracts are handed over
    WORKER_FAILED = "WorkerFailed"  # a part of the worker ended that should not have: a fault of ours
    STOPPED = "Stopped"


class Session(StrEnum):
    """``IbShard.status.session``: where the worker's session with IB stands."""

    STARTING = "Starting"  # process is up, nothing known yet
    WAITING_FOR_ACCOUNT = "WaitingForAccount"  # no account given, or its Lease is held by somebody else
    STARTING_GATEWAY = "StartingGateway"
    LOGGING_IN = "LoggingIn"
    CONNECTING = "Connecting"  # logged in; websocket not yet usable
    STREAMING = "Streaming"
    RECONNECTING = "Reconnecting"  # was streaming; websocket or brokerage session is being repaired
    BACKING_OFF = "BackingOff"  # something failed; the message says what, and when the next try is
    PARKED = "Parked"  # only a person can help (wrong password, second factor, locked)
    STOPPING = "Stopping"
    STOPPED = "Stopped"


class Rebalance(StrEnum):
    """``IbFeed.spec.rebalance``: when contracts that have a worker move only so that loads are even."""

    ALWAYS = "Always"
    ON_SCALE = "OnScale"  # once after each change of spec.workers
    NEVER = "Never"


class LogLevel(StrEnum):
    """``IbFeed.spec.worker.logLevel``, and of each of its shards."""

    DEBUG = "Debug"
    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"


class PullPolicy(StrEnum):
    """``IbFeed.spec.worker.imagePullPolicy``, as Kubernetes spells it."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class Region(StrEnum):
    """``IbFeed.spec.accounts.region``: by whose midnight IB resets the accounts' sessions."""

    AMERICA = "America"
    EUROPE = "Europe"
    ASIA = "Asia"


class Compression(StrEnum):
    """``IbFeed.spec.kafka.compression``."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"


class EntryState(StrEnum):
    """``IbShard.spec.contracts[].state``: what the operator wants the worker to do with a contract."""

    STANDBY = "Standby"  # subscribe and buffer, publish nothing
    ACTIVE = "Active"  # subscribe and publish
    RETIRING = "Retiring"  # stop publishing, flush, report ``released``


class ContractState(StrEnum):
    """``IbShard.status.contracts[].state``: what the worker reports, always with the entry's epoch."""

    SUBSCRIBING = "subscribing"
    WARM = "warm"
    PUBLISHING = "publishing"
    SILENT = "silent"  # nothing comes although it trades, and a question has not been answered
    REFUSED = "refused"  # IB answered the subscription with an error
    RELEASED = "released"


def shard_name(feed: str, worker: int) -> str:
    """Name of worker ``worker``'s IbShard, which is also the name of its pod."""
    return f"{feed}-{worker}"
