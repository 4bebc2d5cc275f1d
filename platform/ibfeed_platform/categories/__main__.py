"""``python -m ibfeed_platform.categories ROOT`` generates the files of the category schemas below a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

from ibfeed_platform.categories.files import write_artefacts
from ibfeed_platform.categories.source import SourceError

try:
    print(f"{write_artefacts(Path(sys.argv[1]))} files")
except SourceError as error:
    sys.exit(str(error))
