"""Labels and annotations: their names, the objects that bear them, and their values."""

from __future__ import annotations

from typing import Final

from ibfeed_api.kinds import GROUP

LABEL_FEED: Final = f"{GROUP}/feed"
LABEL_WORKER: Final = f"{GROUP}/worker"
LABEL_SINK: Final = f"{GROUP}/sink"
LABEL_SOURCE: Final = f"{GROUP}/account-source"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
NAME: Final = "ibfeed"
COMPONENT_WORKER: Final = "worker"
COMPONENT_ACCOUNT: Final = "account"
COMPONENT_SINK: Final = "sink"

# On an account's Lease. They outlive the pod: IB counts wrong passwords by user, and locks the user out after a few.
ANNOTATION_FAILED_LOGINS: Final = f"{GROUP}/failed-logins"
ANNOTATION_LAST_FAILURE: Final = f"{GROUP}/last-failure"
ANNOTATION_NEXT_LOGIN: Final = f"{GROUP}/next-login"
ANNOTATION_LOST_TO_OTHERS: Final = f"{GROUP}/lost-to-others"
ANNOTATION_PARKED: Final = f"{GROUP}/parked"
ANNOTATION_SESSION_OPEN: Final = f"{GROUP}/session-open"  # since when; the logout removes it
ANNOTATION_HISTORY: Final = f"{GROUP}/history"  # logins.History
# A digest of the account's user name. It is the same wherever that name stands: no two workers may use one user.
ANNOTATION_USER: Final = f"{GROUP}/user"
ANNOTATION_USER_SINCE: Final = f"{GROUP}/user-since"  # since when this account has had this user

# Failsafe (failsafe.py), on an account's Lease. The first has the members that its holder asks, as JSON; the holder
# writes it. The second names a holder that has fenced itself; the operator writes it for whoever is to take the Lease.
ANNOTATION_MEMBERS: Final = f"{GROUP}/failsafe-members"
ANNOTATION_FENCED: Final = f"{GROUP}/fenced-holder"

# On the Lease of the source's logins, as JSON. The first maps an address to the end of its penalty, until which its
# workers ask nothing. The second is a list of logins.PageTrouble.
ANNOTATION_PENALTIES: Final = f"{GROUP}/penalties"
ANNOTATION_PAGE_TROUBLE: Final = f"{GROUP}/page-trouble"

# Wishes of people for the placement. Drain, on an IbShard: "true" moves its contracts away and gives it no others.
# Pin, on an IbFeed: "CLZ6=1,NGF7=0", each a contract's symbol and the number of the worker that shall have it.
ANNOTATION_DRAIN: Final = f"{GROUP}/drain"
ANNOTATION_PIN: Final = f"{GROUP}/pin"

# On a StatefulSet whose pods are refused: changed each minute, so that its controller tries again.
ANNOTATION_ASKED_AGAIN: Final = f"{GROUP}/asked-again"
