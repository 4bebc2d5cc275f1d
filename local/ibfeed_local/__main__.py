"""The command line behind the Makefile: python3 -m ibfeed_local VERB."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the machine's own Python runs this, whichever it is
    sys.exit(f"ibfeed needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})")

from ibfeed_local import verbs

sys.exit(verbs.main(sys.argv[1:]))
