"""IbFeed as typed values. ``crds/ibfeeds.yaml`` is the authority on bounds and defaults, and a test compares them."""

from __future__ import annotations

import re
import zlib
from enum import StrEnum
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ibfeed_api.instrument import Product, multiplier_text
from ibfeed_api.worker_pod import WorkerPod


class Rebalance(StrEnum):
    """``IbFeed.spec.rebalance``: when contracts may change workers for even loads and no other reason."""

    ALWAYS = "Always"
    ON_SCALE = "OnScale"  # once after each change of spec.workers
    NEVER = "Never"


class Standby(StrEnum):
    """``IbFeed.spec.standby``: whether a second account has each contract, too, in case its worker is lost."""

    NONE = "None"
    HOT = "Hot"


class Region(StrEnum):
    """``IbFeed.spec.accounts.region``: the region at whose midnight IB resets the accounts' sessions."""

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


DEFAULT_LINES: Final = 100  # KB 3292: the default and the minimum of an account
DEFAULT_FRONT_MONTHS: Final = 6
_VAULT: Final = "kv-"
_SECRET: Final = "secret-"
_PUBLIC_CLOUD: Final = ".vault.azure.net"  # a vault's name is unique in a cloud
_LONGEST_LABEL: Final = 40  # of a source's readable part; the whole is a label's value, at most 63 characters
FILTERS: Final = ("exchange", "tradingClass", "multiplier", "currency")  # fields of a root, in the order of Product


# Properties that ``kafka.config`` may not set. Another field sets them, or they would lose, double or reorder records.
DENIED_CONFIG: Final = (
    "^(bootstrap[.]servers|metadata[.]broker[.]list|client[.]id|security[.]protocol|sasl[.](mechanisms?|username|password)"
    "|sasl[.]oauthbearer[.](method|config|scope|client[.].+|token[.]endpoint[.]url)"
    "|ssl[._](ca|certificate|key|keystore|engine|providers)([._].+)?|https[.]ca[.].+"
    "|linger[.]ms|queue[.]buffering[.]max[.](ms|messages|kbytes)|batch[.]size|compression[.](codec|type)"
    "|enable[.]idempotence|enable[.]gapless[.]guarantee|acks|request[.]required[.]acks|max[.]in[.]flight([.].+)?"
    "|retries|message[.]send[.]max[.]retries|(message|delivery)[.]timeout[.]ms|transaction(al)?[.].+"
    "|allow[.]auto[.]create[.]topics|plugin[.].+|log_level|enabled_events|opaque|.+_cb)$"
)


class _SpecStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Depth(_SpecStruct, frozen=True, kw_only=True):
    front_months: int = 1


class Root(_SpecStruct, frozen=True, kw_only=True):
    """One product of a root. The four fields after ``symbol`` tell apart the products that IB lists under it."""

    symbol: str
    exchange: str | None = None
    trading_class: str | None = None
    multiplier: int | str | None = None
    currency: str | None = None
    front_months: int | None = None
    depth: Depth | None = None

    @property
    def product(self) -> Product:
        """The product that is asked for. An empty field stands for any value."""
        multiplier = "" if self.multiplier is None else multiplier_text(self.multiplier)
        return Product(self.exchange or "", self.trading_class or "", multiplier, self.currency or "")

    @property
    def label(self) -> str:
        """The root for a person: ``SI``, or ``SI (tradingClass SIL)``. It is unique in a feed."""
        asked = zip(FILTERS, self.product, strict=True)
        words = ", ".join(f"{name} {value}" for name, value in asked if value)
        return f"{self.symbol} ({words})" if words else self.symbol


class KeyVault(_SpecStruct, frozen=True, kw_only=True):
    """Secrets ``<usernamePrefix><i>`` and ``<passwordPrefix><i>`` in an Azure Key Vault."""

    url: str
    username_prefix: str = "ib-username-"
    password_prefix: str = "ib-password-"
    authority_host: str | None = None  # of a sovereign cloud; None: the public cloud's
    tenant_id: str | None = None
    client_id: str | None = None  # user-assigned identity


class SecretRef(_SpecStruct, frozen=True, kw_only=True):
    """A Secret of the feed's namespace with the keys ``username-<i>`` and ``password-<i>``."""

    name: str


class Accounts(_SpecStruct, frozen=True, kw_only=True):
    key_vault: KeyVault | None = None
    secret_ref: SecretRef | None = None
    first: int = 1
    count: int = 1
    lines_per_account: int = DEFAULT_LINES
    depth_per_account: int = 1
    max_failed_logins: int = 3
    allow_live: bool = False
    compete: bool = False
    compete_backoff_seconds: int = 600
    region: Region = Region.AMERICA

    @property
    def source(self) -> str:
        """The name of the credential source. Two feeds with the same source share its account indices.

        A vault is the same in all namespaces; a Secret belongs to its namespace. A vault of the public cloud with the
        usual prefix has a short name, and so has a Secret whose name cannot be taken for another source. All others
        carry a digest.
        """
        if self.key_vault is not None:
            return _vault_source(self.key_vault)
        assert self.secret_ref is not None, "the CRD demands one source"  # noqa: S101
        name = self.secret_ref.name
        return _with_digest(_SECRET, name, name) if name.startswith((_VAULT, _SECRET)) else name

    def lease_name(self, index: int) -> str:
        return f"ib-account-{self.source}-{index}"

    @property
    def logins_lease_name(self) -> str:
        """The Lease in which the source's workers take turns to log in."""
        return f"ib-account-{self.source}-logins"

    @property
    def indices(self) -> range:
        return range(self.first, self.first + self.count)


def is_vault(source: str) -> bool:
    """Whether a source's accounts are the same ones in every namespace."""
    return source.startswith(_VAULT)


def _vault_source(vault: KeyVault) -> str:
    where = urlsplit(vault.url)
    host = (where.hostname or "").lower()
    name = re.sub(r"[^a-z0-9-]", "-", host.split(".")[0])
    usual = KeyVault(url=vault.url).username_prefix
    if host == f"{name}{_PUBLIC_CLOUD}" and where.port in (None, 443) and vault.username_prefix == usual:
        return _VAULT + name
    return _with_digest(_VAULT, name, f"{host}:{where.port or 443}/{vault.username_prefix}")


def _with_digest(kind: str, name: str, identity: str) -> str:
    return f"{kind}{name[:_LONGEST_LABEL]}-{sha256(identity.encode()).hexdigest()[:8]}"


class Topic(_SpecStruct, frozen=True, kw_only=True):
    name: str
    partitions: int = 12
    replication_factor: int = 1


class Topics(_SpecStruct, frozen=True, kw_only=True):
    ticklast: Topic = msgspec.field(default_factory=lambda: Topic(name="ticklast"))
    l2_data: Topic = msgspec.field(name="l2Data", default_factory=lambda: Topic(name="l2-data"))
    feed_events: Topic = msgspec.field(default_factory=lambda: Topic(name="feed-events", partitions=1))
    contracts: Topic = msgspec.field(default_factory=lambda: Topic(name="contracts", partitions=1))  # compacted

    @property
    def every(self) -> tuple[Topic, ...]:
        return (self.ticklast, self.l2_data, self.feed_events)


class CaSecret(_SpecStruct, frozen=True, kw_only=True):
    """A Secret of the feed's namespace that holds the brokers' CA, such as Strimzi's ``<cluster>-cluster-ca-cert``."""

    name: str
    key: str = "ca.crt"


class OAuth(_SpecStruct, frozen=True, kw_only=True):
    """OpenID Connect, client credentials: keys ``client-id`` and ``client-secret`` of the Secret."""

    token_endpoint: str
    scope: str | None = None


class RecordFormat(StrEnum):
    """The format of the records' values on Kafka."""

    JSON = "JSON"
    AVRO = "Avro"


class SchemaRegistry(_SpecStruct, frozen=True, kw_only=True):
    """Where Avro schemas are. Keys of the Secret: ``username`` and ``password``, and ``ca.crt``, the registry's CA."""

    url: str
    secret_ref: SecretRef | None = None


class Kafka(_SpecStruct, frozen=True, kw_only=True):
    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    secret_ref: SecretRef | None = None  # the workers' credentials for Kafka; the CRD lists its keys
    ca_secret_ref: CaSecret | None = None
    oauth: OAuth | None = None
    topics: Topics = msgspec.field(default_factory=Topics)
    create_topics: bool = True
    format: RecordFormat = RecordFormat.JSON
    schema_registry: SchemaRegistry | None = None  # Avro needs it
    linger_ms: int = 0
    batch_size: int = 1_000_000
    compression: Compression = Compression.NONE
    config: dict[str, str] = msgspec.field(default_factory=dict)  # further properties of librdkafka's producer

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the Secrets that the workers read."""
        registry = self.schema_registry.secret_ref if self.schema_registry is not None else None
        references = (self.secret_ref, self.ca_secret_ref, registry)
        return tuple(reference.name for reference in references if reference is not None)


class Login(_SpecStruct, frozen=True, kw_only=True):
    """CSS selectors of the login page, for the day IB changes it; empty means the built-in ones."""

    username: str | None = None
    password: str | None = None
    submit: str | None = None
    error: str | None = None
    timeout_seconds: int = 60


class Gateway(_SpecStruct, frozen=True, kw_only=True):
    upstream: str = "https://api.ibkr.com"
    certificate_sha256: str | None = msgspec.field(name="certificateSHA256", default=None)
    login: Login = msgspec.field(default_factory=Login)


class ConfigMapKey(_SpecStruct, frozen=True, kw_only=True):
    name: str
    key: str = "ca.crt"


class Recording(_SpecStruct, frozen=True, kw_only=True):
    """Where workers record the raw frames of their websockets."""

    size_limit_gib: int = msgspec.field(name="sizeLimitGiB", default=10)  # of one worker
    claim_name: str | None = None  # a PersistentVolumeClaim; None: the node's disk, which is lost with the pod


class WorkerSpec(_SpecStruct, frozen=True, kw_only=True):
    """The part of a feed's spec that a worker needs at start. A change of it restarts workers; no other change does."""

    accounts: Accounts
    kafka: Kafka
    gateway: Gateway = msgspec.field(default_factory=Gateway)
    extra_ca: ConfigMapKey | None = msgspec.field(name="extraCA", default=None)

    @property
    def login_settings(self) -> str:
        """A digest of the login's settings. A login that failed with other settings proves nothing about these."""
        all_of_it = (self.gateway.upstream, self.gateway.login, self.accounts.allow_live)
        return f"{zlib.crc32(msgspec.json.encode(all_of_it)):08x}"


class FeedSpec(_SpecStruct, frozen=True, kw_only=True):
    roots: tuple[Root, ...]
    accounts: Accounts
    kafka: Kafka
    front_months: int = DEFAULT_FRONT_MONTHS
    workers: int = 1
    rebalance: Rebalance = Rebalance.ALWAYS
    standby: Standby = Standby.NONE
    suspend: bool = False
    gateway: Gateway = msgspec.field(default_factory=Gateway)
    worker: WorkerPod = msgspec.field(default_factory=WorkerPod)
    extra_ca: ConfigMapKey | None = msgspec.field(name="extraCA", default=None)  # private CA of a proxy, vault or venue

    recording: Recording | None = None  # None: no frames are recorded

    @property
    def for_worker(self) -> WorkerSpec:
        return WorkerSpec(accounts=self.accounts, kafka=self.kafka, gateway=self.gateway, extra_ca=self.extra_ca)

    def front_months_of(self, root: Root) -> int:
        return root.front_months if root.front_months is not None else self.front_months
