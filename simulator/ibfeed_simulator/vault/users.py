"""The file of secrets that the stand-in starts with.

It has one of two forms. The venue's users are a list (or ``{"users": list}``) of ``{"username", "password", "index"}``;
``index`` is by default the place in the list, counted from 1. Plain secrets are ``{"secrets": {"name": "value"}}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

USERNAME_PREFIX: Final = "ib-username-"  # the defaults of spec.accounts.keyVault
PASSWORD_PREFIX: Final = "ib-password-"


class SecretsFileError(Exception):
    """The file has neither form. The message names the file and the fault, never a value."""


def read_secrets(path: Path) -> dict[str, str]:
    """Return the secrets of a file as name → value. Raises SecretsFileError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SecretsFileError(f"{path}: {type(error).__name__}: cannot be read as JSON") from None
    try:
        if isinstance(document, Mapping) and "secrets" in document:
            return {str(name): str(value) for name, value in document["secrets"].items()}
        return _of_users(document["users"] if isinstance(document, Mapping) else document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SecretsFileError(f"{path}: {type(error).__name__}: neither a list of users nor secrets") from None


def _of_users(users: list[dict[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, user in enumerate(users, start=1):
        index = int(user.get("index", place))
        found[f"{USERNAME_PREFIX}{index}"] = str(user["username"])
        found[f"{PASSWORD_PREFIX}{index}"] = str(user["password"])
    return found
