"""The CRDs: there, served in our version, and with the fields of this release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ibfeed.doctor.facts import InstallationFacts, known
from ibfeed.doctor.findings import FoundFault, error, warning
from ibfeed.doctor.release import fields_of_release

VERSION: Final = "v1alpha1"
_SHOWN: Final = 5  # fields that a finding names
_APPLY: Final = "kubectl apply --server-side -f crds/"

MISSING = error("crd-missing", "a CRD of ibfeed is not installed")
UNSERVED = error("crd-version", f"a CRD does not serve {VERSION}")
OLD = error("crd-old", "a CRD lacks fields of this release: what a feed says there is dropped")
NEW = warning("crd-new", "a CRD has fields that this release of the command line does not know")
FAULTS = (MISSING, UNSERVED, OLD, NEW)


def check(facts: InstallationFacts) -> Iterator[FoundFault]:
    """Check each CRD against the fields that this release has."""
    for plural, definition in known(facts.definitions, {}).items():
        about = f"CRD {plural}.ibfeed.dev"
        if definition is None:
            yield MISSING.found(about, "it is not installed", "the CRDs were not applied, or were deleted", _APPLY)
            continue
        if VERSION not in definition.versions:
            served = ", ".join(definition.versions) or "no version"
            yield UNSERVED.found(about, f"it serves {served}", f"this release speaks {VERSION}", _APPLY)
            continue
        wanted = fields_of_release(plural)
        if lacking := sorted(wanted - definition.fields):
            yield OLD.found(about, f"it lacks {_listed(lacking)}", "the CRD is of an older release", _APPLY)
        if more := sorted(definition.fields - wanted):
            yield NEW.found(
                about,
                f"it also has {_listed(more)}",
                "the CRD is of a newer release than this command",
                "pip install --upgrade ibfeed",
            )


def _listed(fields: list[str]) -> str:
    shown = ", ".join(fields[:_SHOWN])
    return shown if len(fields) <= _SHOWN else f"{shown} and {len(fields) - _SHOWN} more fields"
