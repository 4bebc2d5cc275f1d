"""From facts to a diagnosis: all findings, subject by subject, and all that could not be checked. No I/O."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ibfeed.doctor.checks import (
    brokerage,
    clocks,
    cluster,
    credentials,
    definitions,
    feed,
    kafka,
    operator,
    pods,
    registry,
    rights,
    sinks,
)
from ibfeed.doctor.facts import FeedFacts, InstallationFacts, Unknown
from ibfeed.doctor.findings import Fault, FoundFault, Severity

# Exit codes of the command. 1 is an error of the command itself, and 2 a wrong argument, as of each command.
HEALTHY: Final = 0
WARNED: Final = 3
FAILED: Final = 4


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a section. ``needs``: names of the facts that its checks are made of."""

    name: str
    needs: tuple[str, ...]
    check: Callable[[Any], Iterable[FoundFault]]
    faults: tuple[Fault, ...]


INSTALLATION: Final = (
    Subject("cluster", ("server",), cluster.check, cluster.FAULTS),
    Subject("CRDs", ("definitions",), definitions.check, definitions.FAULTS),
    Subject("rights", ("my_rights", "operator_rights"), rights.check, (rights.MINE, rights.OPERATOR)),
    Subject("operator", ("deployment", "operator_pods", "leader"), operator.check, operator.FAULTS),
    Subject("feeds", ("feed_names",), feed.check_names, (feed.NONE,)),
)
OF_FEED: Final = (
    Subject("workers' rights", ("worker_rights",), rights.check_workers, (rights.WORKER,)),
    Subject("workers' pods", ("pods", "events", "quotas"), pods.check, pods.FAULTS),
    Subject("Kafka", ("kafka", "shards"), kafka.check, kafka.FAULTS),
    Subject("schema registry", ("registry",), registry.check, registry.FAULTS),
    Subject("accounts", ("secrets", "accounts", "shards"), credentials.check, credentials.FAULTS),
    Subject("IB", ("shards",), brokerage.check, brokerage.FAULTS),
    Subject("clocks", ("accounts", "kafka"), clocks.check, clocks.FAULTS),
    Subject("sinks", ("sinks",), sinks.check, sinks.FAULTS),
)
CATALOGUE: Final[tuple[tuple[str, Fault], ...]] = tuple(
    (subject.name, fault) for subject in (*INSTALLATION, *OF_FEED) for fault in subject.faults
) + tuple(("feed", fault) for fault in feed.FAULTS)


@dataclass(frozen=True, slots=True)
class Section:
    """A subject's findings. ``unknown``: what could not be checked, and why. ``feed`` is empty for the installation."""

    feed: str
    subject: str
    findings: tuple[FoundFault, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The sections, the installation's first."""

    sections: tuple[Section, ...]

    @property
    def findings(self) -> list[FoundFault]:
        """All findings, in the order of the sections."""
        return [finding for section in self.sections for finding in section.findings]

    @property
    def exit_code(self) -> int:
        """``FAILED`` after an error; ``WARNED`` after a warning, or if something could not be checked."""
        severities = {finding.severity for finding in self.findings}
        if Severity.ERROR in severities:
            return FAILED
        unsure = Severity.WARNING in severities or any(section.unknown for section in self.sections)
        return WARNED if unsure else HEALTHY


def diagnose(installation: InstallationFacts, feeds: Sequence[FeedFacts]) -> Diagnosis:
    """Return what is wrong with an installation and its feeds."""
    sections = [_section("", subject, installation) for subject in INSTALLATION]
    for facts in feeds:
        own = [_section(facts.name, subject, facts) for subject in OF_FEED]
        errors = [one for part in (*sections, *own) for one in part.findings if one.severity is Severity.ERROR]
        found = tuple(feed.check(facts, explained=bool(errors)))
        sections += [Section(facts.name, "feed", found), *own]
    return Diagnosis(tuple(sections))


def _section(feed_name: str, subject: Subject, facts: InstallationFacts | FeedFacts) -> Section:
    """Return the findings of a subject. The API server's own silence is a finding, and no unknown fact."""
    lacking = {
        name: fact.why
        for name in subject.needs
        if isinstance(fact := getattr(facts, name), Unknown) and subject.check is not cluster.check
    }
    by_cause = itertools.groupby(sorted(lacking, key=lambda name: lacking[name]), key=lambda name: lacking[name])
    unknown = [f"{', '.join(name.replace('_', ' ') for name in names)}: {why}" for why, names in by_cause]
    if subject.check is kafka.check and isinstance(facts, FeedFacts) and (unseen := kafka.unseen(facts)):
        unknown.append(unseen)
    return Section(feed_name, subject.name, tuple(subject.check(facts)), tuple(unknown))
