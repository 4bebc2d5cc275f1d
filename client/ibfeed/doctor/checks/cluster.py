"""The API server: reachable, recent enough, and of the same time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ibfeed.doctor.facts import InstallationFacts, Unknown
from ibfeed.doctor.findings import FoundFault, error, warning

MOST_AHEAD_S: Final = 3.0  # the API server tells its time in whole seconds
# Rules in CRDs (x-kubernetes-validations) are stable since then.
OLDEST: Final = (1, 29)

AWAY = error("api-unreachable", "the API server does not answer, so nothing of the cluster can be checked")
OLD = error("api-old", "Kubernetes is older than the CRDs need")
CLOCK = warning("clock-here", "this machine's clock and the API server's differ")
FAULTS = (AWAY, OLD, CLOCK)


def check(facts: InstallationFacts) -> Iterator[FoundFault]:
    """Check the API server."""
    if isinstance(facts.server, Unknown):
        yield AWAY.found(
            "API server", "it does not answer", facts.server.why, "kubectl config current-context && kubectl version"
        )
        return
    version = re.match(r"v?(\d+)\.(\d+)", facts.server.version)
    if version and (int(version[1]), int(version[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        yield OLD.found(
            "API server",
            f"it is Kubernetes {facts.server.version}",
            f"the CRDs have validation rules, which are stable since {oldest}",
            f"upgrade the cluster to {oldest} or newer",
        )
    if abs(ahead := facts.server.ahead_s) > MOST_AHEAD_S:
        yield CLOCK.found(
            "this machine",
            f"its clock is {abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the API server's",
            "it is not synchronised; ages and times that commands show are wrong by as much",
            "timedatectl set-ntp true",
        )
