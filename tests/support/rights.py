"""What an account may do, asked of the API server by SubjectAccessReview: milliseconds, and no credentials of it."""

from __future__ import annotations

import json

from pykube.http import HTTPClient

SUBRESOURCES = (
    "status",
    "scale",
    "exec",
    "log",
    "portforward",
    "token",
    "eviction",
    "ephemeralcontainers",
    "finalizers",
)
GROUPS = {
    **dict.fromkeys(("ibfeeds", "ibshards", "ibsinks"), "ibfeed.dev"),
    **dict.fromkeys(("statefulsets", "deployments", "daemonsets", "replicasets"), "apps"),
    **dict.fromkeys(("roles", "rolebindings", "clusterroles", "clusterrolebindings"), "rbac.authorization.k8s.io"),
    **dict.fromkeys(("networkpolicies", "ingresses"), "networking.k8s.io"),
    **dict.fromkeys(("jobs", "cronjobs"), "batch"),
    "leases": "coordination.k8s.io",
    "poddisruptionbudgets": "policy",
    "customresourcedefinitions": "apiextensions.k8s.io",
    "mutatingwebhookconfigurations": "admissionregistration.k8s.io",
    "certificatesigningrequests": "certificates.k8s.io",
}


def may(api: HTTPClient, who: str, act: str, namespace: str) -> bool:
    """Ask the API server whether `who` may do what is written as `verb resource[/subresource][/name]`."""
    verb, _, what = act.partition(" ")
    resource, *rest = what.split("/")
    subresource = rest.pop(0) if rest and rest[0] in SUBRESOURCES else ""
    groups = ["system:authenticated"]
    if who.startswith("system:serviceaccount:"):
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{who.split(':')[2]}"]
    attributes = {
        "verb": verb,
        "group": GROUPS.get(resource, ""),
        "resource": resource,
        "subresource": subresource,
        "name": rest[0] if rest else "",
        "namespace": namespace,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": who, "groups": groups, "resourceAttributes": attributes},
    }
    response = api.post(version="authorization.k8s.io/v1", url="subjectaccessreviews", data=json.dumps(review))
    response.raise_for_status()
    allowed: bool = response.json()["status"]["allowed"]
    return allowed
