"""The edge to an object store: S3, or Azure's Blob Storage and Data Lake.

Credentials come from the environment, by the names that the clouds' own tools use. They are never in an address.
"""

from __future__ import annotations

import mmap
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ibfeed.errors import MissingExtraError, RecordingError
from ibfeed.recording.layout import SUFFIX

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

SCHEMES: Final = ("s3", "abfs", "abfss", "az")
_PART: Final = 5 * 1024 * 1024  # bytes of a part; S3 takes no smaller ones
# Requests are sent again after some 0.1 s, then 0.2 s and so on.
_RETRIES: Final[RetryConfig] = {"max_retries": 8, "retry_timeout": timedelta(seconds=60)}
_QUERY: Final = re.compile(r"\?[^\s\"')]+")  # it may hold a signature
_MESSAGE: Final = re.compile(r"<Message>([^<\n]*)")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A recording's file in a store."""

    store: Store
    key: str
    size: int

    def __str__(self) -> str:
        """Return its address."""
        return f"{self.store}/{self.key}"

    @property
    def day(self) -> str:
        """The UTC day, as its folder is called."""
        return PurePosixPath(str(self)).parent.name

    def mapped(self) -> memoryview:
        """Return its bytes, by way of a file that is gone when they are. Raises RecordingError."""
        if not self.size:
            return memoryview(b"")
        with tempfile.TemporaryFile(prefix="ibfeed-") as file:
            for part in self.store.parts(self.key):
                file.write(part)
            file.flush()
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class Store:
    """A place in an object store, with the layout of a local folder. Calls block, and are sent again a few times."""

    def __init__(self, address: str, objects: ObjectStore, only: str | None = None) -> None:
        """Take the place over.

        Args:
            address: as a user writes it.
            objects: the place in obstore's form.
            only: the one key that is meant; None: all.
        """
        self._address: Final = address
        self._objects: Final = objects
        self._only: Final = only

    def __str__(self) -> str:
        """Return the address."""
        return self._address

    def files(self, under: str = "") -> list[StoredFile]:
        """Return the recordings at or below a key, in order. Raises RecordingError."""
        import obstore

        with self._errors("cannot be listed"):
            pages = obstore.list(self._objects, prefix=under or None, chunk_size=1000)
            found = [StoredFile(self, one["path"], one["size"]) for page in pages for one in page]
        wanted = [one for one in found if one.key.endswith(SUFFIX) and self._only in (None, one.key)]
        return sorted(wanted, key=lambda one: one.key)

    def parts(self, key: str) -> Iterator[memoryview]:
        """Yield a file's bytes. Raises RecordingError."""
        import obstore

        with self._errors(f"gives no {key}"):
            for part in obstore.get(self._objects, key).stream(_PART):
                yield memoryview(part)

    def upload(self, path: Path, size: int, key: str) -> None:
        """Put a file's first bytes in the place of what the key has, and read them back.

        Raises RecordingError. The store keeps what it had until all bytes arrived.
        """
        import obstore

        with self._errors(f"does not take {key}"):
            # A list of parts is put in pieces, so a file need not be in memory. It costs two more requests.
            parts = b"".join(_parts(path, size)) if size <= _PART else _parts(path, size)
            obstore.put(self._objects, key, parts, chunk_size=_PART, max_concurrency=2)
        self.verify(path, size, key)

    def verify(self, path: Path, size: int, key: str) -> None:
        """Raise RecordingError unless the key has a file's first bytes, and nothing else."""
        left = size
        with path.open("rb") as file:
            for part in self.parts(key):
                left -= len(part)
                if left < 0 or file.read(len(part)) != part:
                    raise RecordingError(f"{self}/{key} is not what was written there: does something else write it?")
        if left:
            raise RecordingError(f"{self}/{key} has {left} bytes too few: does something else write it?")

    def download(self, key: str, path: Path) -> bool:
        """Make a file of what the key has; return whether it has something. Raises RecordingError."""
        import obstore

        with self._errors(f"tells nothing of {key}"):
            try:
                obstore.head(self._objects, key)
            except FileNotFoundError:
                return False
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.part")
        with fresh.open("wb") as file:
            for part in self.parts(key):
                file.write(part)
        fresh.replace(path)
        return True

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise RecordingError(
                f"{self} {what}: {_cause(error)}; check the address, the environment's credentials and their rights to"
                " list, read and write there"
            ) from None


def is_address(text: str) -> bool:
    """Whether a text is the address of a store, and no path."""
    return "://" in text


def store_at(address: str) -> Store:
    """Return the place of an address, such as ``s3://bucket/prefix`` or ``abfss://container@account/prefix``.

    Raises RecordingError, which does not show an address that may hold a secret.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError:
        raise MissingExtraError("obstore is not installed: pip install 'ibfeed[record]'") from None
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES:
        raise RecordingError(
            f"{parts.scheme}:// is no object store that is known: write s3://BUCKET/PREFIX or"
            " abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX"
        )
    if parts.query or parts.fragment or parts.password or (parts.scheme == "s3" and parts.username):
        raise RecordingError(
            "the address of the store has more than a name and a path: give credentials by the environment, such as"
            " AWS_SECRET_ACCESS_KEY or AZURE_STORAGE_SAS_TOKEN, where no list of processes shows them"
        )
    place, only = address.rstrip("/"), None
    if place.endswith(SUFFIX):
        place, _, only = place.rpartition("/")
    try:
        return Store(place, from_url(place, retry_config=_RETRIES), only)
    except (BaseError, ValueError) as error:
        raise RecordingError(
            f"{place} cannot be used: {_cause(error)}; check the address and the environment's credentials"
        ) from None


def _parts(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as file:
        while left > 0 and (part := file.read(min(_PART, left))):
            left -= len(part)
            yield part


def _cause(error: Exception) -> str:
    """Return why, in a line, without a request's signature."""
    text = str(error).strip()
    said = _MESSAGE.search(text)
    first = _QUERY.sub("", text.partition("\n")[0].partition("<?xml")[0])[:300].strip()
    return f"{first} {said[1].strip()}" if said else first
