"""A digest that tells whether two accounts have one user name, and not which. Pure.

User names are short, so a reader of a plain digest could try them out. This one takes a twentieth of a second and 16 MB
for each name that is tried, and has 2^64 values. It has no key, since all workers of all namespaces would have to know
it. A key that differs, for a moment, between two of them would hide the very match that is looked for.
"""

from __future__ import annotations

import hashlib
from typing import Final

_SALT: Final = b"ibfeed.dev/user"
_COST: Final = {"n": 2**14, "r": 8, "p": 1, "maxmem": 2**26}
_BYTES: Final = 8


def digest(username: str) -> str:
    """Return the digest of a user name. IB does not tell capitals and small letters apart."""
    return hashlib.scrypt(username.strip().lower().encode(), salt=_SALT, dklen=_BYTES, **_COST).hex()
