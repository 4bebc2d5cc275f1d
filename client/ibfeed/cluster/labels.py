"""Labels and annotations that the command line reads or writes. ``ibfeed_api/labels.py`` says what they mean."""

from __future__ import annotations

from typing import Final

DRAIN: Final = "ibfeed.dev/drain"  # on an IbShard: "true"
PIN: Final = "ibfeed.dev/pin"  # on an IbFeed: "CLZ6=1,NGF7=0"
FEED: Final = "ibfeed.dev/feed"  # label of all that belongs to a feed
SOURCE: Final = "ibfeed.dev/account-source"  # label of an account's Lease
# On an account's Lease.
PARKED: Final = "ibfeed.dev/parked"
FAILED_LOGINS: Final = "ibfeed.dev/failed-logins"
LAST_FAILURE: Final = "ibfeed.dev/last-failure"
NEXT_LOGIN: Final = "ibfeed.dev/next-login"
LOST_TO_OTHERS: Final = "ibfeed.dev/lost-to-others"
HISTORY: Final = "ibfeed.dev/history"
USER: Final = "ibfeed.dev/user"
# On the Lease of the source's logins.
PENALTIES: Final = "ibfeed.dev/penalties"
PAGE_TROUBLE: Final = "ibfeed.dev/page-trouble"
