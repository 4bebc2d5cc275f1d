"""Labels and annotations: which object bears which, and what stands in it."""

from __future__ import annotations

from typing import Final

from ibfeed_api.kinds import GROUP

LABEL_FEED: Final = f"{GROUP}/feed"
LABEL_WORKER: Final = f"{GROUP}/worker"
LABEL_SOURCE: Final = f"{GROUP}/account-source"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
NAME: Final = "ibfeed"
COMPONENT_WORKER: Final = "worker"
COMPONENT_ACCOUNT: Final = "account"

# On an account's Lease. They outlive the pod: IB locks a user out after a few wrong passwords, whoever typed them.
ANNOTATION_FAILED_LOGINS: Final = f"{GROUP}/failed-logins"
ANNOTATION_LAST_FAILURE: Final = f"{GROUP}/last-failure"
ANNOTATION_NEXT_LOGIN: Final = f"{GROUP}/next-login"
ANNOTATION_LOST_TO_OTHERS: Final = f"{GROUP}/lost-to-others"
ANNOTATION_PARKED: Final = f"{GROUP}/parked"
ANNOTATION_SESSION_OPEN: Final = f"{GROUP}/session-open"  # since when; taken away by the logout
ANNOTATION_HISTORY: Final = f"{GROUP}/history"  # logins.History
# A digest of the account's user name, which one user name gives wherever it stands: no two workers may use one user.
ANNOTATION_USER: Final = f"{GROUP}/user"
ANNOTATION_USER_SINCE: Final = f"{GROUP}/user-since"  # since when the account has been this user's

# On the Lease of the source's logins. JSON: address to the moment until which it is to be silent; logins.PageTrouble.
ANNOTATION_PENALTIES: Final = f"{GROUP}/penalties"
ANNOTATION_PAGE_TROUBLE: Final = f"{GROUP}/page-trouble"

# What people ask of the placement. On an IbShard: "true" moves its contracts away and gives it no others. On an IbFeed:
# "CLZ6=1,NGF7=0", each a contract's symbol and the number of the worker that shall have it.
ANNOTATION_DRAIN: Final = f"{GROUP}/drain"
ANNOTATION_PIN: Final = f"{GROUP}/pin"

# On a StatefulSet whose pods are refused: changed each minute, so that its controller tries again.
ANNOTATION_ASKED_AGAIN: Final = f"{GROUP}/asked-again"
