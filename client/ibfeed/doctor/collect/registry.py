"""Facts about the schema registry, as this machine sees it."""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.request
from typing import Final

from ibfeed.doctor.facts import RegistryFacts
from ibfeed.registry import SchemaRegistry

_ANSWER_S: Final = 4.0


def collect_registry(registry: SchemaRegistry) -> RegistryFacts:
    """Ask the registry for its subjects."""
    request = urllib.request.Request(f"{registry.url.rstrip('/')}/subjects")  # noqa: S310 - the feed names it
    if registry.username:
        told = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {told}")
    try:
        context = ssl.create_default_context(cafile=registry.ca) if registry.ca else None
        with urllib.request.urlopen(request, timeout=_ANSWER_S, context=context):  # noqa: S310
            return RegistryFacts()
    except urllib.error.HTTPError as error:
        return RegistryFacts(refused=f"it answers with HTTP {error.code}")
    except OSError as error:
        return RegistryFacts(trouble=str(getattr(error, "reason", None) or error))
