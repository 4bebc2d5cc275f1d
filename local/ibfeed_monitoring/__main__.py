"""``python -m ibfeed_monitoring ROOT`` writes the files of a checkout that follow from metrics, rules and events."""

from __future__ import annotations

import sys
from pathlib import Path

from ibfeed_monitoring import files

print(f"{files.write_all(Path(sys.argv[1]))} files")
