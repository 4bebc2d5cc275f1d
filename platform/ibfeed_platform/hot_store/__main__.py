"""``python -m ibfeed_platform.hot_store FEED [PREFIX]`` prints Redis's ACL lines of the users on standard input."""

from __future__ import annotations

import sys

from ibfeed_platform.hot_store.acl import acl_lines, user_of
from ibfeed_platform.hot_store.keys import Keys

if not 2 <= len(sys.argv) <= 3:
    sys.exit("name the feed, and the prefix of its keys if it is not ibfeed; write the users to standard input")
try:
    found = [user_of(line) for line in sys.stdin if line.strip()]
except ValueError as error:
    sys.exit(str(error))
print("\n".join(acl_lines(found, Keys(*sys.argv[1:]))))
