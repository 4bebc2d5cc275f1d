"""The custom resource definitions, as the real API server applies them: what is refused, and what is filled in.

Dry runs, but for a few objects in a namespace of its own: rules on a change need something to change. The feeds among
them are suspended, so that an operator at work on this cluster starts no worker for them.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pykube.http import HTTPClient

from support.cluster import ROOT, client, eventually, kubectl

API = "ibfeed.dev/v1alpha1"
SCRATCH = f"ibfeed-test-crds-{uuid.uuid4().hex[:8]}"  # one that is on its way out takes nothing in

GOOD: dict[str, Any] = {
    "roots": [{"symbol": "CL"}, {"symbol": "NG"}],
    "frontMonths": 6,
    "workers": 2,
    "accounts": {"secretRef": {"name": "ib-paper-accounts"}, "count": 4},
    "kafka": {"bootstrapServers": "kafka:9092"},
}
VAULT = {"url": "https://example.vault.azure.net"}


def kafka(**more: Any) -> dict[str, Any]:
    return {"kafka": GOOD["kafka"] | more}


OAUTH: dict[str, Any] = {
    "securityProtocol": "SASL_SSL",
    "saslMechanism": "OAUTHBEARER",
    "secretRef": {"name": "kafka-user"},
    "oauth": {"tokenEndpoint": "https://id.example/realms/kafka/token", "scope": "kafka"},
}


def accounts(**more: Any) -> dict[str, Any]:
    return {"accounts": GOOD["accounts"] | more}


def vault(**more: Any) -> dict[str, Any]:
    return {"accounts": {"keyVault": VAULT | more, "count": 4}}


def worker(**more: Any) -> dict[str, Any]:
    return {"worker": more}


SPREAD = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
OWN_POD: dict[str, Any] = {
    "image": "registry.example.com:5000/ibfeed/worker@sha256:" + "0" * 64,
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "resources": {"requests": {"memory": "1Gi", "ephemeral-storage": "2Gi"}, "limits": {"memory": "1Gi"}},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [
        {"key": "dedicated", "operator": "Equal", "value": "ib", "effect": "NoSchedule"},
        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
    ],
    "affinity": {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 5, "preference": {"matchExpressions": [{"key": "ssd", "operator": "Exists"}]}}
            ]
        },
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"ibfeed.dev/feed": "a"}}}
            ]
        },
    },
    "topologySpreadConstraints": [SPREAD],
    "priorityClassName": "market-data",
    "labels": {"example.com/team": "data", "app.kubernetes.io/part-of": "desk"},
    "annotations": {"example.com/note": "free text, of any kind"},
    "env": [
        {"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}},
        {"name": "NO_PROXY", "value": ".svc,10.0.0.0/8"},
    ],
    "logLevel": "Debug",
}

# What is changed in GOOD (None: taken out), where the message points, and what it must say.
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("no roots", {"roots": None}, "spec.roots", "Required value"),
    ("empty roots", {"roots": []}, "spec.roots", "should have at least 1 items"),
    (
        "a root twice",
        {"roots": [{"symbol": "CL"}, {"symbol": "CL"}]},
        "spec.roots",
        "a root stands twice with the same exchange, tradingClass, multiplier and currency",
    ),
    (
        "a product twice",
        {"roots": [{"symbol": "SI", "multiplier": 1000}, {"symbol": "CL"}, {"symbol": "SI", "multiplier": "1000"}]},
        "spec.roots",
        "a root stands twice with the same exchange, tradingClass, multiplier and currency",
    ),
    ("a root in lower case", {"roots": [{"symbol": "cl"}]}, "spec.roots[0].symbol", "in capitals and digits"),
    ("a root that starts with a dot", {"roots": [{"symbol": ".HK"}]}, "spec.roots[0].symbol", "or HHI.HK"),
    ("a root with a slash", {"roots": [{"symbol": "A/B"}]}, "spec.roots[0].symbol", "or HHI.HK"),
    (
        "an exchange in lower case",
        {"roots": [{"symbol": "CL", "exchange": "nymex"}]},
        "spec.roots[0].exchange",
        "exchange, tradingClass and currency are written as IB writes them",
    ),
    (
        "a trading class with a blank",
        {"roots": [{"symbol": "DAX", "tradingClass": "FDX M"}]},
        "spec.roots[0].tradingClass",
        "exchange, tradingClass and currency are written as IB writes them",
    ),
    ("no multiplier", {"roots": [{"symbol": "SI", "multiplier": 0}]}, "spec.roots[0].multiplier", "a positive number"),
    (
        "a multiplier with a unit",
        {"roots": [{"symbol": "SI", "multiplier": "5000oz"}]},
        "spec.roots[0].multiplier",
        "a positive number as IB writes it",
    ),
    ("a root without symbol", {"roots": [{"frontMonths": 3}]}, "spec.roots[0].symbol", "Required value"),
    ("a long root", {"roots": [{"symbol": "C" * 13}]}, "spec.roots[0].symbol", "may not be more than 12 bytes"),
    (
        "no months of a root",
        {"roots": [{"symbol": "CL", "frontMonths": 0}]},
        "frontMonths",
        "greater than or equal to 1",
    ),
    ("too many months", {"frontMonths": 61}, "spec.frontMonths", "less than or equal to 60"),
    ("no months", {"frontMonths": 0}, "spec.frontMonths", "greater than or equal to 1"),
    (
        "more books than months",
        {"roots": [{"symbol": "CL", "depth": {"frontMonths": 7}}]},
        "spec.roots",
        "depth.frontMonths must not exceed its frontMonths: lower it, or stream more months",
    ),
    (
        "more books than the root's own months",
        {"roots": [{"symbol": "CL", "frontMonths": 1, "depth": {"frontMonths": 2}}]},
        "spec.roots",
        "depth.frontMonths must not exceed its frontMonths",
    ),
    ("no workers", {"workers": 0}, "spec.workers", "to stop streaming and log every worker out, set suspend: true"),
    ("negative workers", {"workers": -1}, "spec.workers", "workers must be at least 1"),
    ("more workers than accounts", {"workers": 5}, "spec.workers", "workers must not exceed accounts.count"),
    ("very many workers", {"workers": 201}, "spec.workers", "less than or equal to 200"),
    ("a policy that is none", {"rebalance": "Sometimes"}, "spec.rebalance", 'supported values: "Always", "OnScale"'),
    ("no accounts", {"accounts": None}, "spec.accounts", "Required value"),
    ("no source", {"accounts": {"count": 4}}, "spec.accounts", "set keyVault or secretRef"),
    ("two sources", accounts(keyVault=VAULT), "spec.accounts", "set either keyVault or secretRef, not both"),
    ("a Secret's name that is none", accounts(secretRef={"name": "Mine!"}), "secretRef.name", "the name of a Secret"),
    ("no account", accounts(count=0), "spec.accounts.count", "greater than or equal to 1"),
    ("a negative index", accounts(first=-1), "spec.accounts.first", "greater than or equal to 0"),
    ("no lines", accounts(linesPerAccount=0), "linesPerAccount", "greater than or equal to 1"),
    ("two books for an account", accounts(depthPerAccount=2), "depthPerAccount", "less than or equal to 1"),
    ("endless logins", accounts(maxFailedLogins=99), "maxFailedLogins", "less than or equal to 10"),
    (
        "a vault without TLS",
        vault(url="http://example.vault.azure.net"),
        "keyVault.url",
        "https address without a path",
    ),
    ("a vault with a path", vault(url="https://example.vault.azure.net/secrets"), "keyVault.url", "without a path"),
    (
        "one name for both secrets",
        vault(usernamePrefix="ib-", passwordPrefix="ib-"),
        "accounts.keyVault",
        "usernamePrefix and passwordPrefix must differ",
    ),
    (
        "a prefix that no secret can have",
        vault(usernamePrefix="ib_user_"),
        "usernamePrefix",
        "letters, digits and hyphens",
    ),
    ("an identity's name for its id", vault(clientId="my-identity"), "keyVault.clientId", "a GUID"),
    ("no Kafka", {"kafka": None}, "spec.kafka", "Required value"),
    ("a broker without port", kafka(bootstrapServers="kafka"), "bootstrapServers", "host:port separated by commas"),
    ("an address for brokers", kafka(bootstrapServers="tcp://kafka:9092"), "bootstrapServers", "must be host:port"),
    (
        "SASL without Secret",
        kafka(securityProtocol="SASL_SSL", saslMechanism="PLAIN"),
        "spec.kafka",
        "needs secretRef, a Secret in the feed's namespace with the keys username and password",
    ),
    (
        "SASL without mechanism",
        kafka(securityProtocol="SASL_SSL", secretRef={"name": "s"}),
        "spec.kafka",
        "needs saslMechanism: PLAIN",
    ),
    (
        "a mechanism without SASL",
        kafka(saslMechanism="PLAIN"),
        "spec.kafka",
        "saslMechanism needs securityProtocol SASL",
    ),
    ("a protocol that is none", kafka(securityProtocol="TLS"), "securityProtocol", "supported values"),
    *(
        (f"brokers at {servers}", kafka(bootstrapServers=servers), "bootstrapServers", "stands in brackets")
        for servers in ("2001:db8::7:9092", "[2001:db8::7]", "[kafka]:9092", "kafka:9092, kafka-1:9092")
    ),
    (
        "a CA without TLS",
        kafka(caSecretRef={"name": "ca"}),
        "spec.kafka",
        "caSecretRef needs securityProtocol SSL or SASL_SSL",
    ),
    (
        "tokens from nowhere",
        kafka(securityProtocol="SASL_SSL", saslMechanism="OAUTHBEARER", secretRef={"name": "s"}),
        "spec.kafka",
        "saslMechanism OAUTHBEARER needs oauth",
    ),
    (
        "tokens for nobody",
        kafka(oauth={"tokenEndpoint": "https://id.example/token"}),
        "spec.kafka",
        "oauth needs saslMechanism OAUTHBEARER",
    ),
    (
        "a token endpoint that is no address",
        kafka(**OAUTH | {"oauth": {"tokenEndpoint": "id.example/token"}}),
        "oauth.tokenEndpoint",
        "the https address at which the OpenID provider gives tokens",
    ),
    ("a compression that is none", kafka(compression="zip"), "compression", "supported values"),
    ("a format that is none", kafka(format="Protobuf"), "format", "supported values"),
    ("Avro without a registry", kafka(format="Avro"), "spec.kafka", "format Avro needs schemaRegistry"),
    (
        "a registry that is no address",
        kafka(format="Avro", schemaRegistry={"url": "registry:8081"}),
        "schemaRegistry.url",
        "the http or https address of a schema registry",
    ),
    *(
        (
            f"the property {name}",
            kafka(config={name: "1"}),
            "spec.kafka.config",
            "config may not set what another field",
        )
        for name in (
            "acks",
            "enable.idempotence",
            "max.in.flight.requests.per.connection",
            "delivery.timeout.ms",
            "sasl.password",
            "ssl.ca.pem",
            "transactional.id",
            "error_cb",
        )
    ),
    (
        "a number for a property",
        kafka(config={"socket.timeout.ms": 9000}),
        "spec.kafka.config",
        "must be of type string",
    ),
    (
        "one topic for two kinds",
        kafka(topics={"ticklast": {"name": "t"}, "feedEvents": {"name": "t"}}),
        "spec.kafka.topics",
        "topic names must differ",
    ),
    (
        "contracts among the ticks",
        kafka(topics={"contracts": {"name": "ticklast"}}),
        "spec.kafka.topics",
        "topic names must differ",
    ),
    ("a topic that cannot be", kafka(topics={"l2Data": {"name": "a/b"}}), "l2Data.name", "letters, digits, dots"),
    ("no partitions", kafka(topics={"ticklast": {"partitions": 0}}), "partitions", "greater than or equal to 1"),
    (
        "an upstream without TLS",
        {"gateway": {"upstream": "api.ibkr.com"}},
        "gateway.upstream",
        "must be an https address",
    ),
    (
        "a fingerprint with colons",
        {"gateway": {"certificateSHA256": "AA:BB"}},
        "certificateSHA256",
        "64 lower-case hexadecimal digits without colons",
    ),
    (
        "an endless login",
        {"gateway": {"login": {"timeoutSeconds": 3600}}},
        "timeoutSeconds",
        "less than or equal to 300",
    ),
    (
        "a recording of nothing",
        {"recording": {"sizeLimitGiB": 0}},
        "spec.recording.sizeLimitGiB",
        "greater than or equal",
    ),
    ("a claim of no name", {"recording": {"claimName": "A/B"}}, "spec.recording.claimName", "PersistentVolumeClaim"),
    ("a CA without name", {"extraCA": {"key": "ca.crt"}}, "spec.extraCA.name", "Required value"),
    ("a word for a number", {"frontMonths": "six"}, "spec.frontMonths", "must be of type integer"),
    ("an image with a blank", worker(image="ibfeed worker"), "spec.worker.image", "must be the name of an image"),
    ("a policy for pulls that is none", worker(imagePullPolicy="Sometimes"), "imagePullPolicy", "supported values"),
    (
        "a pull secret's name that is none",
        worker(imagePullSecrets=[{"name": "A b"}]),
        "imagePullSecrets[0].name",
        "name",
    ),
    (
        "a limit below the operator's request",
        worker(resources={"limits": {"memory": "256Mi"}}),
        "spec.worker.resources",
        "requests.memory (512Mi unless set) must not exceed limits.memory (2Gi unless set)",
    ),
    (
        "a request above the operator's limit",
        worker(resources={"requests": {"memory": "3Gi"}}),
        "spec.worker.resources",
        "must not exceed limits.memory",
    ),
    (
        "less CPU than is asked for",
        worker(resources={"limits": {"cpu": "50m"}}),
        "spec.worker.resources",
        "requests.cpu (100m unless set) must not exceed limits.cpu",
    ),
    ("no quantity", worker(resources={"limits": {"cpu": "much"}}), "resources.limits.cpu", "must be a quantity"),
    ("no CPU", worker(resources={"requests": {"cpu": 0}}), "resources.requests.cpu", "a quantity above zero"),
    ("a label that is none", worker(labels={"a b": "c"}), "spec.worker.labels", "these are no labels of Kubernetes"),
    ("a label's value that is none", worker(labels={"team": "a b"}), "spec.worker.labels", "no labels of Kubernetes"),
    ("a node's label that is none", worker(nodeSelector={"team": "-"}), "spec.worker.nodeSelector", "no labels"),
    *(
        (f"the label {name}", worker(labels={name: "mine"}), "spec.worker.labels", "by which pods are found")
        for name in ("ibfeed.dev/feed", "app.kubernetes.io/name", "controller-revision-hash")
    ),
    (
        "an annotation of the operator",
        worker(annotations={"kubectl.kubernetes.io/default-container": "mine"}),
        "spec.worker.annotations",
        "leave the operator's own alone",
    ),
    *(
        (f"the variable {name}", worker(env=[{"name": name, "value": "x"}]), "spec.worker.env", "env must leave alone")
        for name in ("POD_UID", "IBFEED_SPEC", "KAFKA_LINGER_MS", "PATH", "LD_PRELOAD", "JAVA_TOOL_OPTIONS", "HOME")
    ),
    ("a variable's name that is none", worker(env=[{"name": "a-b"}]), "env[0].name", "letters, digits and underscores"),
    (
        "a variable given twice",
        worker(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "spec.worker.env[1]",
        "Duplicate value",
    ),
    (
        "a variable with two values",
        worker(env=[{"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        "spec.worker.env[0]",
        "set either value or valueFrom",
    ),
    (
        "a variable from nowhere",
        worker(env=[{"name": "A", "valueFrom": {}}]),
        "spec.worker.env[0].valueFrom",
        "set one of secretKeyRef and configMapKeyRef",
    ),
    ("a toleration of nothing", worker(tolerations=[{"value": "x"}]), "tolerations[0]", "needs operator Exists"),
    (
        "a toleration's time without effect",
        worker(tolerations=[{"key": "k", "operator": "Exists", "tolerationSeconds": 5}]),
        "tolerations[0]",
        "needs effect NoExecute",
    ),
    (
        "one spread twice",
        worker(topologySpreadConstraints=[SPREAD, SPREAD]),
        "topologySpreadConstraints[1]",
        "Duplicate value",
    ),
    ("a log level that is none", worker(logLevel="Trace"), "spec.worker.logLevel", "supported values"),
]

RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("as it is", {}),
    ("suspended", {"suspend": True}),
    ("the minimum", {"frontMonths": None, "workers": None, "accounts": {"secretRef": {"name": "a"}}}),
    ("as many workers as accounts", {"workers": 4}),
    (
        "a root by months and depth",
        {"roots": [{"symbol": "M2K", "frontMonths": 2, "depth": {}}]},
    ),
    ("a root that starts with a digit", {"roots": [{"symbol": "6E"}]}),
    ("a root with a dot", {"roots": [{"symbol": "HHI.HK"}]}),
    (
        "two products of a root",
        {
            "roots": [
                {"symbol": "SI", "multiplier": 5000},
                {"symbol": "SI", "tradingClass": "SIL", "multiplier": "1000"},
            ]
        },
    ),
    (
        "a product by all that it has",
        {
            "roots": [
                {"symbol": "X", "exchange": "CME", "tradingClass": "X2", "multiplier": "0.2", "currency": "USD"},
            ]
        },
    ),
    ("a vault", vault(tenantId="example.onmicrosoft.com", clientId="11111111-2222-3333-4444-555555555555")),
    ("a vault at a port", vault(url="https://vault.ibfeed-simulator.svc.cluster.local:8444/")),
    ("SASL", kafka(securityProtocol="SASL_SSL", saslMechanism="PLAIN", secretRef={"name": "event-hub"})),
    ("brokers", kafka(bootstrapServers="kafka-0.kafka:9092,10.0.0.1:9092")),
    ("brokers of IPv6", kafka(bootstrapServers="[2001:db8::7]:9092,[::ffff:10.0.0.1]:9093,kafka:9092")),
    (
        "mutual TLS",
        kafka(securityProtocol="SSL", secretRef={"name": "user"}, caSecretRef={"name": "ca", "key": "cluster.crt"}),
    ),
    ("tokens", kafka(**OAUTH)),
    (
        "Avro",
        kafka(format="Avro", schemaRegistry={"url": "https://registry:8081", "secretRef": {"name": "registry"}}),
    ),
    ("further properties", kafka(compression="zstd", config={"socket.timeout.ms": "9000", "compression.level": "3"})),
    ("as many properties as may be", kafka(config={f"property.{n}.{'x' * 40}": "v" * 1024 for n in range(32)})),
    ("a topic", kafka(topics={"ticklast": {"name": "energy.ticks", "partitions": 48, "replicationFactor": 3}})),
    ("a gateway", {"gateway": {"upstream": "https://ib-api:8443", "certificateSHA256": "ab" * 32}}),
    ("a CA", {"extraCA": {"name": "proxy-ca"}}),
    ("a recording on the node", {"recording": {}}),
    ("a recording on a claim", {"recording": {"claimName": "frames", "sizeLimitGiB": 100}}),
    ("a worker of one's own", {"worker": OWN_POD}),
    ("numbers for quantities", worker(resources={"requests": {"cpu": 1}, "limits": {"cpu": 2, "memory": "4Gi"}})),
]


@pytest.fixture(scope="module")
def api() -> Iterator[HTTPClient]:
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "crd/ibfeeds.ibfeed.dev", "crd/ibshards.ibfeed.dev", "--timeout=30s")
    yield client()


@pytest.fixture(scope="module")
def scratch(api: HTTPClient) -> Iterator[str]:
    kubectl("create", "namespace", SCRATCH)
    yield SCRATCH
    kubectl("delete", "namespace", SCRATCH, "--wait=false")


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def with_change(change: dict[str, Any]) -> dict[str, Any]:
    spec = copy.deepcopy(GOOD) | change
    return {key: value for key, value in spec.items() if value is not None}


def call(
    api: HTTPClient, method: str, path: str, body: dict[str, Any], namespace: str, *, dry_run: bool = True
) -> tuple[int, dict[str, Any]]:
    """Status code and answer. Unknown fields are refused, as kubectl has them refused."""
    response = getattr(api, method)(
        version=API,
        namespace=namespace,
        url=path,
        json=body,
        params={"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {}),
        headers={"Content-Type": "application/merge-patch+json" if method == "patch" else "application/json"},
    )
    return response.status_code, response.json()


def create_feed(api: HTTPClient, spec: dict[str, Any], name: str = "test") -> tuple[int, dict[str, Any]]:
    return call(api, "post", "ibfeeds", manifest("IbFeed", name, spec), "default")


@pytest.mark.parametrize(("change", "where", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_spec_is_refused_in_words_that_help(
    api: HTTPClient, change: dict[str, Any], where: str, says: str
) -> None:
    code, answer = create_feed(api, with_change(change))
    assert code == 422, answer
    assert where in answer["message"]
    assert says in answer["message"].replace('\\"', '"')


@pytest.mark.parametrize("change", [row[1] for row in RIGHT], ids=[row[0] for row in RIGHT])
def test_a_right_spec_is_accepted(api: HTTPClient, change: dict[str, Any]) -> None:
    code, answer = create_feed(api, with_change(change))
    assert code == 201, answer


@pytest.mark.parametrize("name", ["1st", "energy.eu", "e" * 41])
def test_a_name_that_no_service_can_have_is_refused(api: HTTPClient, name: str) -> None:
    code, answer = create_feed(api, GOOD, name)
    assert code == 422, answer
    assert "it is the name of the workers' StatefulSet and Service" in answer["message"]


def test_a_field_that_is_misspelt_is_refused(api: HTTPClient) -> None:
    code, answer = create_feed(api, GOOD | {"frontMonth": 3})
    assert code == 400, answer
    assert 'unknown field "spec.frontMonth"' in answer["message"]


def test_several_mistakes_are_told_at_once(api: HTTPClient) -> None:
    code, answer = create_feed(api, with_change({"workers": 0} | vault(url="ftp://x") | kafka(saslMechanism="PLAIN")))
    assert code == 422
    for says in ("set suspend: true", "https address without a path", "saslMechanism needs"):
        assert says in answer["message"]


def test_defaults_are_filled_in(api: HTTPClient) -> None:
    spec = {
        "roots": [{"symbol": "CL", "depth": {}}],
        "accounts": {"keyVault": VAULT},
        "kafka": {"bootstrapServers": "kafka:9092", "topics": {"ticklast": {"partitions": 24}}},
        "extraCA": {"name": "ca"},
    }
    code, answer = create_feed(api, spec)
    assert code == 201, answer
    topic = {"replicationFactor": 1}
    assert answer["spec"] == {
        "roots": [{"symbol": "CL", "depth": {"frontMonths": 1}}],
        "frontMonths": 6,
        "workers": 1,
        "rebalance": "Always",
        "standby": "None",
        "suspend": False,
        "accounts": {
            "keyVault": VAULT | {"usernamePrefix": "ib-username-", "passwordPrefix": "ib-password-"},
            "first": 1,
            "count": 1,
            "linesPerAccount": 100,
            "depthPerAccount": 1,
            "maxFailedLogins": 3,
            "allowLive": False,
            "compete": False,
            "competeBackoffSeconds": 600,
            "region": "America",
        },
        "kafka": {
            "bootstrapServers": "kafka:9092",
            "securityProtocol": "PLAINTEXT",
            "topics": {
                "ticklast": topic | {"name": "ticklast", "partitions": 24},
                "l2Data": topic | {"name": "l2-data", "partitions": 12},
                "feedEvents": topic | {"name": "feed-events", "partitions": 1},
                "contracts": topic | {"name": "contracts", "partitions": 1},
            },
            "createTopics": True,
            "format": "JSON",
            "lingerMs": 0,
            "batchSize": 1000000,
            "compression": "none",
            "config": {},
        },
        "gateway": {"upstream": "https://api.ibkr.com", "login": {"timeoutSeconds": 60}},
        "worker": {"imagePullPolicy": "IfNotPresent", "logLevel": "Info"},
        "extraCA": {"name": "ca", "key": "ca.crt"},
    }


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_accepted(api: HTTPClient, path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        # Where nobody has applied them: a name that is taken cannot be tried.
        if document["kind"] not in ("IbFeed", "IbSink"):
            continue
        code, answer = call(api, "post", f"{document['kind'].lower()}s", document, "kube-public")
        assert code == 201, answer


@pytest.fixture(scope="module")
def feed(api: HTTPClient, scratch: str) -> None:
    body = manifest("IbFeed", "there", GOOD | {"suspend": True} | kafka(topics={"ticklast": {"name": "t"}}))
    code, answer = call(api, "post", "ibfeeds", body, scratch, dry_run=False)
    assert code == 201, answer


@pytest.mark.usefixtures("feed")
class TestAFeedThatIsThere:
    def patch(self, api: HTTPClient, spec: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return call(api, "patch", "ibfeeds/there", {"spec": spec}, SCRATCH)

    @pytest.mark.parametrize("topic", ["ticklast", "l2Data", "feedEvents", "contracts"])
    def test_partitions_of_a_topic_stay(self, api: HTTPClient, topic: str) -> None:
        code, answer = self.patch(api, {"kafka": {"topics": {topic: {"partitions": 13}}}})
        assert code == 422, answer
        assert f"spec.kafka.topics.{topic}" in answer["message"]
        assert "give the topic a new name as well" in answer["message"]

    def test_another_topic_may_have_other_partitions(self, api: HTTPClient) -> None:
        code, answer = self.patch(api, {"kafka": {"topics": {"ticklast": {"name": "u", "partitions": 13}}}})
        assert code == 200, answer

    def test_another_source_of_accounts_may_be_named(self, api: HTTPClient) -> None:
        code, answer = self.patch(api, {"accounts": {"secretRef": None, "keyVault": VAULT}})
        assert code == 200, answer

    @pytest.mark.parametrize(
        ("replicas", "code", "says"), [(0, 422, "set suspend: true"), (5, 422, "accounts.count"), (4, 200, "")]
    )
    def test_scale_obeys_the_same_rules(self, api: HTTPClient, replicas: int, code: int, says: str) -> None:
        done, answer = call(api, "patch", "ibfeeds/there/scale", {"spec": {"replicas": replicas}}, SCRATCH)
        assert done == code, answer
        assert says in answer.get("message", "")

    def test_a_change_of_the_status_does_not_count_as_one_of_the_spec(self, api: HTTPClient) -> None:
        code, answer = call(api, "patch", "ibfeeds/there/status", {"spec": {"workers": 1}, "status": {}}, SCRATCH)
        assert code == 200, answer
        assert answer["spec"]["workers"] == GOOD["workers"]


ENTRY = {"conid": 7, "symbol": "CLZ6", "root": "CL", "slot": 3, "epoch": 5, "state": "Active"}
SHARD = {"feed": "nobody", "worker": 0, "contracts": [ENTRY]}


@pytest.fixture(scope="module")
def shard(api: HTTPClient, scratch: str) -> None:
    code, answer = call(api, "post", "ibshards", manifest("IbShard", "nobody-0", SHARD), scratch, dry_run=False)
    assert code == 201, answer


@pytest.mark.usefixtures("shard")
class TestAShardThatIsThere:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"feed": "another"}, "feed cannot change"),
            ({"worker": 1}, "worker cannot change"),
            ({"contracts": [ENTRY | {"state": "Gone"}]}, "supported values"),
        ],
    )
    def test_what_would_break_an_invariant_is_refused(self, api: HTTPClient, change: dict[str, Any], says: str) -> None:
        code, answer = call(api, "patch", "ibshards/nobody-0", {"spec": change}, SCRATCH)
        assert code == 422, answer
        assert says in answer["message"]

    @pytest.mark.parametrize(
        "contracts",
        [
            [],
            [ENTRY | {"state": "Retiring"}],
            [ENTRY | {"epoch": 6, "slot": 4}],
            [ENTRY, ENTRY | {"conid": 8, "epoch": 1}],
        ],
    )
    def test_a_step_of_a_hand_over_is_accepted(self, api: HTTPClient, contracts: list[dict[str, Any]]) -> None:
        code, answer = call(api, "patch", "ibshards/nobody-0", {"spec": {"contracts": contracts}}, SCRATCH)
        assert code == 200, answer


def columns(kind: str, name: str) -> dict[str, str]:
    header, *rows = kubectl("get", kind, name, "-n", SCRATCH, "-o", "wide").splitlines()
    # Columns are three blanks apart, and one header holds a blank itself.
    starts = [0, *(i for i in range(3, len(header)) if header[i] != " " and header[i - 3 : i] == "   ")]
    ends = [*starts[1:], None]
    return {header[a:b].strip(): rows[0][a:b].strip() for a, b in zip(starts, ends, strict=True)}


class TestColumns:
    def test_of_a_feed(self, api: HTTPClient, scratch: str) -> None:
        body = manifest("IbFeed", "columns", GOOD | {"suspend": True})
        assert call(api, "post", "ibfeeds", body, scratch, dry_run=False)[0] == 201
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Streaming",
            "message": "streaming",
            "lastTransitionTime": "2026-11-21T06:00:00Z",
            "observedGeneration": 1,
        }
        status = {
            "conditions": [ready],
            "contractCount": 12,
            "assignedCount": 11,
            "workersSummary": "2/2",
            "shardsSummary": "columns-0→1:6 columns-1→2:6",
            "replicas": 2,
            "image": "ibfeed/worker:2",
        }

        def shown() -> dict[str, str] | None:
            # An operator at work here writes its own status; only what is seen right after our own write counts.
            call(api, "patch", "ibfeeds/columns/status", {"status": status}, scratch, dry_run=False)
            seen = columns("ibfeed", "columns")
            return seen if seen["MESSAGE"] == "streaming" else None

        seen = eventually(shown, within=20, what="the columns of what was written")
        del seen["AGE"]
        assert seen == {
            "NAME": "columns",
            "READY": "True",
            "CONTRACTS": "12",
            "ASSIGNED": "11",
            "WORKERS": "2/2",
            "MESSAGE": "streaming",
            "SHARDS": "columns-0→1:6 columns-1→2:6",
            "IMAGE": "ibfeed/worker:2",
        }

    def test_of_a_shard(self, api: HTTPClient, scratch: str) -> None:
        account = {"source": "s", "index": 3, "lease": "ib-account-s-3"}
        body = manifest("IbShard", "columns-9", {"feed": "nobody", "worker": 9, "account": account})
        body["metadata"]["annotations"] = {"ibfeed.dev/drain": "true"}
        assert call(api, "post", "ibshards", body, scratch, dry_run=False)[0] == 201
        status = {
            "session": "Streaming",
            "reason": "",
            "message": "all well",
            "contractCount": 6,
            "standbyCount": 2,
            "lines": "8/100",
            "lastTickTime": "2026-01-01T00:00:00Z",
        }
        code, answer = call(api, "patch", "ibshards/columns-9/status", {"status": status}, scratch, dry_run=False)
        assert code == 200, answer
        seen = columns("ibs", "columns-9")
        assert list(seen) == [
            *("NAME", "ACCOUNT", "SESSION", "CONTRACTS", "STANDBYS", "LINES", "DRAIN", "LAST TICK", "AGE"),
            *("KAFKA", "REASON", "MESSAGE"),
        ]
        assert (seen["ACCOUNT"], seen["SESSION"], seen["CONTRACTS"]) == ("3", "Streaming", "6")
        assert (seen["STANDBYS"], seen["LINES"]) == ("2", "8/100")
        assert (seen["DRAIN"], seen["MESSAGE"]) == ("true", "all well")
        assert seen["LAST TICK"].endswith("d")

    def test_a_category_shows_both_kinds(self, scratch: str, tmp_path: Path) -> None:
        # kubectl remembers for hours which categories there were.
        shown = kubectl("get", "ib", "-n", scratch, "-o", "name", "--cache-dir", str(tmp_path))
        assert "ibfeed.ibfeed.dev/columns" in shown
        assert "ibshard.ibfeed.dev/columns-9" in shown

    def test_kubectl_get_all_shows_feeds(self, scratch: str, tmp_path: Path) -> None:
        shown = kubectl("get", "all", "-n", scratch, "-o", "name", "--cache-dir", str(tmp_path))
        assert "ibfeed.ibfeed.dev/columns" in shown


def test_fields_are_explained() -> None:
    assert "Azure Key Vault" in kubectl("explain", "ibfeed.spec.accounts.keyVault")
    assert "kubectl scale" in kubectl("explain", "ibf.spec.workers")
