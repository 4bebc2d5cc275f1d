"""The computations that are shipped. Each is a file ``NAME.sql`` beside this module."""

from __future__ import annotations

from importlib.resources import files


def shipped() -> dict[str, str]:
    """Return the SQL of each computation by its name."""
    found = (entry for entry in files(__package__).iterdir() if entry.name.endswith(".sql"))
    return {entry.name.removesuffix(".sql"): entry.read_text() for entry in found}
