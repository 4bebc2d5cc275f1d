"""``python -m ibfeed_api.ib_times --region Europe --zone America/Chicago`` lists IB's own times of the next week."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ibfeed_api.feed import Region
from ibfeed_api.ib_calendar import closures

_AHEAD: Final = timedelta(days=7)
_FORM: Final = "%a %Y-%m-%d %H:%M"


def table(region: Region, now: datetime, zone: ZoneInfo | None) -> str:
    """Return a line for each closure. ``zone``: in which times are told beside UTC; None: IB's own."""
    lines = []
    for found in closures(region, now, now + _AHEAD):
        local = found.begins.astimezone(zone or found.zone), found.ends.astimezone(zone or found.zone)
        utc = f"{found.begins:{_FORM}} to {found.ends:%a %H:%M} UTC"
        lines.append(f"{utc}   {local[0]:{_FORM}} to {local[1]:%a %H:%M %Z}   {found.what}\n")
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ibfeed_api.ib_times", description="IB's resets and maintenance.")
    parser.add_argument("--region", type=Region, choices=list(Region), default=Region.AMERICA)
    parser.add_argument("--zone", default="", help="such as America/Chicago for CME; by default IB's own")
    told = parser.parse_args(arguments)
    try:
        zone = ZoneInfo(told.zone) if told.zone else None
    except (ZoneInfoNotFoundError, ValueError):
        print(f"there is no time zone {told.zone}: give a name such as America/Chicago", file=sys.stderr)
        return 2
    sys.stdout.write(table(told.region, datetime.now(UTC), zone))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
