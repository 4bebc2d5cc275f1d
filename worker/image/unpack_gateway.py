"""Check a gateway distribution and unpack it, while the worker's image is built. Standard library only.

A distribution is a zip with `bin/run.sh` and `root/conf.yaml`: IB's Client Portal Gateway, or the simulator's stand-in.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path, PurePosixPath

NEEDED = ("bin/run.sh", "root/conf.yaml")
LARGEST = 500_000_000  # bytes, of the archive and unpacked; IB's has 15 MB


class BadDistributionError(Exception):
    """The archive cannot be used; the text says why, and what to do."""


def main() -> int:
    """Unpack the archive that the command line names, or say what is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", default="")
    parser.add_argument("--url", default="")
    parser.add_argument("--sha256", default="")
    parser.add_argument("--target", type=Path, required=True)
    given = parser.parse_args()
    try:
        unpack(obtain(given.archive, given.url), given.sha256, given.target)
    except BadDistributionError as error:
        print(f"gateway distribution: {error}", file=sys.stderr)
        return 1
    return 0


def obtain(archive: str, url: str) -> Path:
    """Return the zip's path; download it if a URL is given."""
    if bool(archive) == bool(url):
        raise BadDistributionError(
            "give one of the build arguments GATEWAY_ARCHIVE (a zip within the build context) and GATEWAY_URL"
        )
    if archive:
        return Path(archive)
    if not url.startswith("https://"):
        raise BadDistributionError(f"GATEWAY_URL must begin with https://, and {url!r} does not")
    target = Path("/tmp/gateway.zip")  # noqa: S108 - the build stage's own file system
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, target.open("wb") as file:  # noqa: S310 - https, see above
            while block := answer.read(1 << 20):
                file.write(block)
                if file.tell() > LARGEST:
                    raise BadDistributionError(f"{url} has more than {LARGEST} bytes: that is no gateway")
    except urllib.error.URLError as error:
        raise BadDistributionError(f"{url} cannot be had: {error.reason}") from None
    return target


def unpack(archive: Path, sha256: str, target: Path) -> None:
    """Check everything, then unpack to a folder; executable files are marked so."""
    if not archive.is_file():
        raise BadDistributionError(f"there is no file {archive.name} in the build context (is it in .dockerignore?)")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise BadDistributionError("give the build argument GATEWAY_SHA256: 64 hexadecimal digits, from `sha256sum`")
    actual = hashlib.sha256(archive.read_bytes()).hexdigest()
    if actual != sha256.lower():
        raise BadDistributionError(f"{archive.name} has the checksum {actual}, not GATEWAY_SHA256={sha256.lower()}")
    try:
        with zipfile.ZipFile(archive) as content:
            _check(archive.name, content)
            for entry in content.infolist():
                path = Path(content.extract(entry, target))
                if not entry.is_dir():
                    executable = entry.filename.startswith("bin/") or (entry.external_attr >> 16) & 0o100
                    path.chmod(0o755 if executable else 0o644)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise BadDistributionError(f"{archive.name} is not a whole zip archive: {error}") from None


def _check(name: str, content: zipfile.ZipFile) -> None:
    names = set(content.namelist())
    if missing := [needed for needed in NEEDED if needed not in names]:
        raise BadDistributionError(f"{name} has no {' and no '.join(missing)}: that is no gateway distribution")
    for entry in names:
        if PurePosixPath(entry).is_absolute() or ".." in PurePosixPath(entry).parts:
            raise BadDistributionError(f"{name} has an entry outside of its folder: {entry!r}")
    if sum(entry.file_size for entry in content.infolist()) > LARGEST:
        raise BadDistributionError(f"{name} unpacks to more than {LARGEST} bytes: that is no gateway")


if __name__ == "__main__":
    sys.exit(main())
