"""Takes secrets, account numbers and user names out of objects and texts. No I/O.

Three nets, one behind the other: fields that hold secrets by their name; values that the cluster's Secrets are known to
hold, wherever they stand; and forms of secrets in any text, such as a token or a password in a URL. A value that is
taken out becomes ``***``; one that tells apart, such as a user name, becomes a short digest that is the same everywhere
in a bundle, and in no other.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

MASK: Final = "***"
_LONG_LINE: Final = 16  # a line of a key, and no word of a language
_SHORTEST: Final = 4  # a shorter value of a Secret, such as "1", would take out half of a log
# Names of variables, fields, flags and keys whose values are secret.
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|pwd|secret(?!ref|name|keyref)|token(?!review|endpoint)|api[-_.]?key|private[-_.]?key"
    r"|credential|authorization|cookie|jaas|\.pem$|connection[-_.]?string|^x-sess",
    re.IGNORECASE,
)
_USER_NAME: Final = re.compile(
    r"user[-_.]?name(-?\d+)?$|(^|/)user$|paper_user|^login$|account[-_.]?(id|alias|title|van)$", re.IGNORECASE
)
# References to Secrets look like secrets by their name, and are none.
_REFERENCES: Final = re.compile(r"(secretKeyRef|secretRef|caSecretRef|passwordSecretRef|imagePullSecrets|secretName)$")
_DIGEST: Final = re.compile(r"id-[0-9a-f]{8}")
_DROPPED: Final = ("managedFields", "kubectl.kubernetes.io/last-applied-configuration")

_ACCOUNT: Final = re.compile(r"\b(?:D?[UF]|DI|[FI])\d{5,9}\b")  # IB's account numbers: U1234567, DU123456, F123456
_FORMS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"-----BEGIN [^-]*PRIVATE KEY-----.*?(?:-----END [^-]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"), MASK),  # JSON web tokens
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"(?<=://)[^/\s:@\"']*:[^/\s\"']*@"), f"{MASK}@"),  # user and password in a URL
    (
        re.compile(
            r"(?i)((?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_]?key|sig|signature|x-sess-uuid|sessionid|session_id)"
            r"[\"']?\s*[=:]\s*)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&\"'}]+)"
        ),
        rf"\1{MASK}",
    ),
)
_USER_FORM: Final = re.compile(r"(?i)((?:user[-_ ]?name|paper_user_name|\buser)[\"']?\s*[=:]\s*[\"']?)([^\s,;&\"'}]+)")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Redacts one bundle.

    Args:
        secrets: values that no text may hold.
        users: user names, which become digests.
        key: of the digests; new for each bundle, so that short names cannot be tried out.
    """

    secrets: frozenset[str]
    users: frozenset[str]
    key: bytes

    def text(self, text: str) -> str:
        """Return a text without secrets, account numbers and user names."""
        for value in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(value, MASK)
        for name in sorted(self.users, key=len, reverse=True):
            text = re.sub(re.escape(name), lambda found: self.digest(found[0]), text, flags=re.IGNORECASE)
        for pattern, instead in _FORMS:
            text = pattern.sub(instead, text)
        text = _USER_FORM.sub(lambda found: f"{found[1]}{self.digest(found[2])}", text)
        return _ACCOUNT.sub(lambda found: self.digest(found[0]), text)

    def digest(self, value: str) -> str:
        """Return what stands for a user name or an account number in this bundle."""
        if value.startswith(MASK) or _DIGEST.fullmatch(value):
            return value
        return f"id-{hmac.digest(self.key, value.lower().encode(), 'sha256').hex()[:8]}"

    def document(self, value: Any, name: str = "") -> Any:
        """Return an object without what must not leave the cluster.

        Args:
            value: of JSON.
            name: the field that holds it.
        """
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list):
            return [self.document(item, name) for item in value]
        if not isinstance(value, str):
            return MASK if name and _is_secret(name) and not isinstance(value, bool) and value is not None else value
        if _is_secret(name):
            return MASK if value else value
        if _USER_NAME.search(name):
            return self.digest(value)
        return self.text(value)

    def _mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if value.get("kind") == "Secret":
            kept = {key: self.document(inner, key) for key, inner in value.items() if key not in ("data", "stringData")}
            return {**kept, "keys": sorted({**(value.get("data") or {}), **(value.get("stringData") or {})})}
        # A variable of a container: the name says what the value is.
        of = str(value.get("name", "")) if isinstance(value.get("value"), str) else ""
        found = {}
        for key, inner in value.items():
            if key in _DROPPED:
                continue
            found[key] = self.document(inner, of if of and key == "value" else key)
        return found


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _REFERENCES.search(name)


def redactor(secrets: Iterable[Mapping[str, str]], key: bytes) -> Redactor:
    """Return the redactor of a bundle. It knows each value as it is, and as texts write it: base64, URL, JSON.

    Args:
        secrets: the values of the Secrets that could be read, by key.
        key: of the digests, at random.
    """
    values: set[str] = set()
    users: set[str] = set()
    for secret in secrets:
        for name, value in secret.items():
            if len(value.strip()) < _SHORTEST or name.endswith(".crt"):  # a certificate is public
                continue
            if name.startswith(("username", "ib-username")):
                users.add(value.strip())
                values.add(base64.b64encode(value.encode()).decode())
            else:
                values |= _written(value)
    return Redactor(frozenset(values), frozenset(users), key)


def _written(value: str) -> set[str]:
    """Return a secret in the forms that a text may have it in. Logs break one of many lines: each long line counts."""
    plain = value.strip()
    forms = {plain, base64.b64encode(value.encode()).decode(), quote(plain, safe=""), json.dumps(plain)[1:-1]}
    long = {line for line in plain.splitlines() if len(line) >= _LONG_LINE and not line.startswith("-----")}
    return forms | long
