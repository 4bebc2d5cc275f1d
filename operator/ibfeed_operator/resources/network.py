"""Who may talk to the workers of a feed."""

from __future__ import annotations

from typing import Final

from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.metadata import Manifest, owned, selector

# A namespace that carries this label may read the workers' metrics: that of Prometheus.
LABEL_METRICS: Final = "ibfeed.dev/metrics"
METRICS_ALLOWED: Final = "allowed"


def network_policy(feed: Feed, *, operator_namespace: str) -> Manifest:
    """Ingress from the operator and from scrapers only; kubelet's probes are always let through.

    Egress is not restricted: the API server and the metadata service for managed identities have addresses that differ
    between clusters, IB and Azure stand behind content networks, and Kafka may be anywhere. A policy that named them
    wrongly would stop a feed, and one that named them loosely would protect nothing.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": owned(feed, feed.name),
        "spec": {
            "podSelector": {"matchLabels": selector(feed.name)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}},
                        {"namespaceSelector": {"matchLabels": {LABEL_METRICS: METRICS_ALLOWED}}},
                    ],
                    "ports": [{"protocol": "TCP", "port": "http"}],
                }
            ],
        },
    }
