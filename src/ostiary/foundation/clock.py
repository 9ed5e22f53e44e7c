"""The time, as a parameter: aware UTC datetimes."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, always aware and in UTC."""


def utc_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)
