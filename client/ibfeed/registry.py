"""The schema registry of a feed that writes Avro."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Final

from ibfeed.errors import RegistryError

_CALL_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class SchemaRegistry:
    """A schema registry with Confluent's API.

    Args:
        url: where the API begins, such as ``https://registry:8081``.
        username: if it asks for one.
        password: if it asks for one; it is not shown.
        ca: file with the CA of its certificate in PEM; empty: the public ones.
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""

    def schema(self, number: int) -> str:
        """Return the text of a schema. Blocks for at most 10 s. Raises RegistryError."""
        address = f"{self.url.rstrip('/')}/schemas/ids/{number}"
        request = urllib.request.Request(address)  # noqa: S310 - the caller names it
        if self.username:
            told = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {told}")
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        try:
            with urllib.request.urlopen(request, timeout=_CALL_S, context=context) as answer:  # noqa: S310
                text = json.load(answer)["schema"]
        except urllib.error.HTTPError as error:
            advice = "check its address, username and password"
            raise RegistryError(f"the schema registry answers {address} with HTTP {error.code}: {advice}") from None
        except OSError as error:
            raise RegistryError(f"the schema registry {self.url} does not answer: {error}; check its address") from None
        except (ValueError, KeyError, TypeError):
            raise RegistryError(f"{address} is no schema registry with Confluent's API: check its address") from None
        return str(text)
