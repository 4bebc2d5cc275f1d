"""`helm test`: are the definitions served, and does an operator act? Runs in the operator's image; standard library."""

import datetime as dt
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
KINDS = {"ibfeeds", "ibshards", "ibsinks"}
STALE_S = 15  # an operator renews its Lease each 3 s; after 11 s another one takes it


def read(path: str) -> dict[str, Any]:
    address = "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}".format_map(os.environ)
    token = (ACCOUNT / "token").read_text().strip()
    # The scheme is https, above.
    request = urllib.request.Request(address + path, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def trouble() -> str:
    """Return what is wrong and what to do, or nothing."""
    try:
        served = {found["name"] for found in read("/apis/ibfeed.dev/v1alpha1")["resources"]}
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        served = set()
    if missing := sorted(KINDS - served):
        return f"the API server does not serve {', '.join(missing)}: install the chart ibfeed-crds, or apply crds/"
    namespace = os.environ["NAMESPACE"]
    try:
        lease = read(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/ibfeed-operator")["spec"]
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        lease = {}
    if not lease.get("holderIdentity"):
        logs = f"kubectl -n {namespace} logs deploy/ibfeed-operator"
        return f"no operator has taken the Lease ibfeed-operator: look at {logs}"
    renewed = dt.datetime.fromisoformat(lease["renewTime"])
    age = (dt.datetime.now(dt.UTC) - renewed).total_seconds()
    if age > STALE_S:
        return (
            f"{lease['holderIdentity']} last renewed its Lease {age:.0f} s ago: does it run, and do the clocks agree?"
        )
    print(f"{lease['holderIdentity']} acts, and renewed its Lease {age:.1f} s ago")
    return ""


sys.exit(trouble() or None)
