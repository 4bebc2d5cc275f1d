"""The feed as its own status tells it. A cause that another section has found is not told twice."""

from __future__ import annotations

from collections.abc import Iterator

from ibfeed.doctor.facts import FeedFacts, InstallationFacts
from ibfeed.doctor.findings import FoundFault, error, note

UNOBSERVED = error("feed-unobserved", "the operator has not seen the feed's spec")
NOT_READY = error("feed-not-ready", "the feed is not Ready, for a reason that no other check found")
SUSPENDED = note("feed-suspended", "the feed is suspended")
NONE = note("no-feed", "the namespace has no IbFeed")
FAULTS = (UNOBSERVED, NOT_READY, SUSPENDED)


def check_names(facts: InstallationFacts) -> Iterator[FoundFault]:
    """Check that there is a feed at all."""
    if facts.feed_names == ():
        apply = "kubectl apply -f examples/energy.yaml"
        yield NONE.found("namespace", "it has no IbFeed", "none was applied, or it is in another (--namespace)", apply)


def check(facts: FeedFacts, *, explained: bool) -> Iterator[FoundFault]:
    """Check the feed's own status. ``explained``: another check has found an error."""
    feed = facts.feed
    about, describe = f"feed {facts.name}", f"{facts.on} describe ibf {facts.name}"
    if feed.spec.suspend:
        resume = f'{facts.on} patch ibf/{facts.name} --type merge -p \'{{"spec":{{"suspend":false}}}}\''
        yield SUSPENDED.found(about, "it is suspended", "spec.suspend is true", resume)
        return
    if feed.status.observed_generation < feed.metadata.generation:
        yield UNOBSERVED.found(
            about,
            f"the operator has seen generation {feed.status.observed_generation} of {feed.metadata.generation}",
            "it does not run, is busy, or serves other namespaces (IBFEED_NAMESPACE)",
            "kubectl -n ibfeed-system logs deploy/ibfeed-operator --tail=50",
        )
        return
    ready = feed.condition("Ready")
    if ready is not None and ready.status != "True" and not explained:
        yield NOT_READY.found(about, f"Ready is {ready.status}: {ready.reason}", ready.message, describe)
