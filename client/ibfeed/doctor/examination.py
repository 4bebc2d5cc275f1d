"""A whole examination: facts about the installation and each feed, asked side by side, and the diagnosis of them."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Final

from ibfeed.cluster import Cluster
from ibfeed.doctor.collect.feed import collect_feed
from ibfeed.doctor.collect.installation import NAMESPACE, collect_installation
from ibfeed.doctor.collect.together import LIMIT_S, together
from ibfeed.doctor.diagnosis import Diagnosis, diagnose
from ibfeed.doctor.facts import Fact, InstallationFacts, Unknown, known
from ibfeed.errors import ClusterRefusedError, ClusterUnreachableError, MissingObjectError

_WHOLE_S: Final = 3 * LIMIT_S  # each part keeps its own limit; this is for a machine that can hardly run threads
_INSTALLATION: Final = ""  # no feed is called so


def examine(cluster: Cluster, feed: str = "", *, operator_namespace: str = NAMESPACE) -> Diagnosis:
    """Examine an installation and its feeds. It changes nothing, and takes a few seconds.

    Args:
        cluster: whose namespace is the feeds'.
        feed: the name of one; empty: all of the namespace.
        operator_namespace: where the operator runs.

    Raises:
        MissingObjectError: there is no such feed.
    """
    feeds = _feeds(cluster, feed)
    asked = {item["metadata"]["name"]: partial(collect_feed, cluster, item) for item in known(feeds, [])}
    found = together({_INSTALLATION: partial(collect_installation, cluster, operator_namespace), **asked}, _WHOLE_S)
    installation = found.pop(_INSTALLATION)
    if isinstance(installation, Unknown):  # no collector is so slow, since each has a limit
        raise ClusterUnreachableError(installation.why)
    names: Fact[tuple[str, ...]] = feeds if isinstance(feeds, Unknown) else tuple(asked)
    whole: InstallationFacts = dataclasses.replace(installation, feed_names=names)
    late = [fact.why for fact in found.values() if isinstance(fact, Unknown)]
    if late:
        whole = dataclasses.replace(whole, feed_names=Unknown("; ".join(late)))
    return diagnose(whole, [fact for fact in found.values() if not isinstance(fact, Unknown)])


def _feeds(cluster: Cluster, name: str) -> Fact[list[dict[str, Any]]]:
    try:
        every = cluster.items("ibfeeds")
    except MissingObjectError:  # the CRD is missing, which a check of its own tells
        return []
    except (ClusterRefusedError, ClusterUnreachableError) as error:
        return Unknown(str(error))
    wanted = [item for item in every if not name or item["metadata"]["name"] == name]
    if name and not wanted:
        there = ", ".join(item["metadata"]["name"] for item in every) or "none"
        raise MissingObjectError(
            f"namespace {cluster.namespace} has no IbFeed {name}; it has: {there} (--namespace chooses another)"
        )
    return wanted
