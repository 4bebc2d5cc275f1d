"""The gateway distribution that `make test-gateway` is about: GATEWAY=FILE, or the simulator's stand-in."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from ibfeed_local import images
from ibfeed_local.problem import ProblemError

NEEDED = ("bin/run.sh", "root/conf.yaml")


def archive() -> Path:
    """Return the path of the distribution's zip. Raises ProblemError if GATEWAY names no such file."""
    given = os.environ.get("GATEWAY", "")
    path = Path(given).resolve() if given else images.GATEWAY
    if not given:
        return path  # it is built with the images
    if not path.is_file():
        raise ProblemError(f"GATEWAY={given}: there is no such file", "Download clientportal.gw.zip from IB.")
    try:
        with zipfile.ZipFile(path) as content:
            missing = [name for name in NEEDED if name not in content.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise ProblemError(f"GATEWAY={given} is not a zip archive: {error}", "Download it again.") from None
    if missing:
        raise ProblemError(
            f"GATEWAY={given} has no {missing[0]}", "A distribution has bin/run.sh and root/conf.yaml at its top."
        )
    return path
