"""The page of all events."""

from __future__ import annotations

from typing import Final

from ibfeed_api.events import CATALOGUE
from ibfeed_api.kinds import FEED_KIND, SINK_KIND

_HEAD: Final = """\
# Events

Made from the code by `make monitoring`; do not edit. The operator posts events for people. They
complement the conditions and never replace them.

```sh
kubectl describe ibf/energy
kubectl get events --field-selector involvedObject.kind=IbFeed,type=Warning --sort-by=.lastTimestamp
```

The same event about the same worker or account is one object: its `count` and `lastTimestamp` are
written once a minute at most, and its message is the latest one. After ten quiet minutes it is a
new object. Of one feed or sink 50 events of each type are posted at once at most, then one each ten
seconds. The operator's log has every event that was posted.
"""


def page() -> str:
    """Return ``docs/events.md``."""
    parts = [_HEAD]
    for about in (FEED_KIND, SINK_KIND):
        parts.append(f"\n## Of an {about}\n\n| reason | type | meaning | what to do |\n|---|---|---|---|\n")
        for reason, found in sorted(CATALOGUE.items()):
            if found.about == about:
                parts.append(f"| `{reason}` | {found.kind} | {found.meaning} | {found.todo} |\n")
    return "".join(parts)
