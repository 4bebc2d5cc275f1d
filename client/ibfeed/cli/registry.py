"""The options by which a command is told the schema registry of a feed that writes Avro."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

from ibfeed.registry import SchemaRegistry

PASSWORD: Final = "SCHEMA_REGISTRY_PASSWORD"

RegistryUrl = Annotated[
    str | None,
    typer.Option(
        "--schema-registry", envvar="SCHEMA_REGISTRY_URL", help="URL of the schema registry of a feed that writes Avro."
    ),
]
RegistryUser = Annotated[
    str,
    typer.Option(
        "--schema-registry-user", envvar="SCHEMA_REGISTRY_USER", help=f"Its user; the password comes from {PASSWORD}."
    ),
]
RegistryCa = Annotated[
    str, typer.Option("--schema-registry-ca", envvar="SCHEMA_REGISTRY_CA", help="File of the CA of its certificate.")
]


def registry_of(url: str | None, user: str, ca: str) -> SchemaRegistry | None:
    """Return the registry that the options name; None: they name none."""
    return None if not url else SchemaRegistry(url, user, os.environ.get(PASSWORD, "") if user else "", ca)
