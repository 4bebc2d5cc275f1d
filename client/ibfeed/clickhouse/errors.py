"""The errors of ClickHouse. Both are an ``ibfeed.Error``, and hold no password."""

from __future__ import annotations

from ibfeed.errors import Error


class ClickHouseUnreachableError(Error):
    """ClickHouse does not answer, or answers that it is not ready. It may be tried again."""


class ClickHouseRefusedError(Error):
    """ClickHouse answers, and refuses. Only a person can help."""
