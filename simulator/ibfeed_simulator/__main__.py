"""``python -m ibfeed_simulator venue|gateway|vault``. Each part is imported only when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

PARTS = {
    "venue": "ibfeed_simulator.venue.main",
    "gateway": "ibfeed_simulator.gateway.main",
    "vault": "ibfeed_simulator.vault.main",
}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in PARTS:
        print(f"usage: python -m ibfeed_simulator {'|'.join(PARTS)} …", file=sys.stderr)
        return 2
    part = import_module(PARTS[arguments[0]])
    return int(part.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
