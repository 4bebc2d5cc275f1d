"""``compile.py FOLDER``: compile, beside their sources, the modules that every tick passes (ADR 25).

FOLDER holds ``ibfeed_api`` and ``ibfeed_worker``. Run it by an interpreter with mypy and the worker's requirements.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

# These have no coroutines, in which mypyc's code was seen to crash, and no msgspec Structs, which it cannot compile.
MODULES: Final = (
    "ibfeed_worker/publish/counters.py",
    "ibfeed_worker/publish/delivery.py",
    "ibfeed_worker/publish/partition_writer.py",
    "ibfeed_worker/publish/send_queue.py",
    "ibfeed_worker/stream/contract.py",
    "ibfeed_worker/stream/dispatcher.py",
    "ibfeed_worker/stream/quote_handler.py",
    "ibfeed_worker/ticks/normaliser.py",
)


# Libraries without types are followed by name only: some of them lead into setuptools, which the compiler refuses.
SETTINGS: Final = """[mypy]
strict = true
ignore_missing_imports = true
untyped_calls_exclude = confluent_kafka

[mypy-confluent_kafka.*,picows.*]
follow_untyped_imports = true
"""


def main(folder: Path) -> int:
    """Compile the modules; return the compiler's exit code."""
    (folder / "build").mkdir(exist_ok=True)
    settings = folder / "build" / "mypy.ini"
    settings.write_text(SETTINGS)
    options = ("--config-file", "build/mypy.ini", "--cache-dir", "build/types")
    done = subprocess.run([sys.executable, "-m", "mypyc", *options, *MODULES], cwd=folder, check=False)
    shutil.rmtree(folder / "build", ignore_errors=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
