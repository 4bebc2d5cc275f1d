"""Measures for how long each Lease has been seen unchanged."""

from __future__ import annotations


class LeaseObserver:
    """The moments at which Leases were last seen to change. Holders' timestamps are never compared with our clock."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, float]] = {}
        self._lost_at: float | None = None
        self._since = float("-inf")  # an older change counts as one of this moment

    def age(self, namespace: str, name: str, resource_version: str, now: float) -> float:
        """Return the seconds since the Lease was last seen to change; 0.0 at first sight."""
        if self._lost_at is not None and now > self._lost_at:
            self._lost_at, self._since = None, now
        key = (namespace, name)
        version, since = self._seen.get(key, ("", now))
        if version != resource_version:
            since = now
            self._seen[key] = (resource_version, now)
        return max(0.0, now - max(since, self._since))

    def lose_contact(self, now: float) -> None:
        """The API server did not answer: holders may not have reached it either.

        All are given the whole time again, from the first look after this.
        """
        self._lost_at = now

    def forget(self, namespace: str, name: str) -> None:
        self._seen.pop((namespace, name), None)
