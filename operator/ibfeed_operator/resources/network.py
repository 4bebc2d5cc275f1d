"""Builds the NetworkPolicy of a feed's workers."""

from __future__ import annotations

from typing import Final

from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.metadata import Manifest, owned, selector

# A namespace with this label, such as that of Prometheus, may read the workers' metrics.
LABEL_METRICS: Final = "ibfeed.dev/metrics"
METRICS_ALLOWED: Final = "allowed"


def network_policy(feed: Feed, *, operator_namespace: str) -> Manifest:
    """Return a policy that allows ingress from the operator, the feed's workers and scrapers only.

    Kubelet's probes always pass. Workers ask each other while the API server is away (``failsafe.py``).

    Egress is not restricted. The addresses of the API server and of the metadata service for managed identities differ
    between clusters. IB and Azure use content networks, and Kafka may be anywhere. A policy with wrong addresses would
    stop a feed, and one with loose addresses would protect nothing.
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
                        {"podSelector": {"matchLabels": selector(feed.name)}},
                    ],
                    "ports": [{"protocol": "TCP", "port": "http"}],
                }
            ],
        },
    }
