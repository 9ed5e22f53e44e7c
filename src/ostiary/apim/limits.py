"""Limits: so many calls in each fixed clock window, a bandwidth, and the names some of them have.

Plans have them, applications by their tier, and what all callers of an API or of a resource share.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from ostiary.apim.errors import Invalid

MOST_REQUESTS = 1_000_000_000
_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30}
_BANDWIDTH = re.compile(r"([1-9][0-9]{0,8})(KB|MB|GB)")


class Period(StrEnum):
    """The fixed clock window a limit counts in: it begins with the UTC second, minute, hour, day or month."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls in each window."""

    requests: int
    per: Period

    def __str__(self) -> str:
        return f"{self.requests} per {self.per}"


UNLIMITED = "Unlimited"
TIERS: dict[str, Limit | None] = {
    "10PerMin": Limit(10, Period.MINUTE),
    "20PerMin": Limit(20, Period.MINUTE),
    "50PerMin": Limit(50, Period.MINUTE),
    UNLIMITED: None,
}
"""What an application's tier allows each of its users, over all APIs."""
NAMED: dict[str, Limit | None] = {
    "10KPerMin": Limit(10_000, Period.MINUTE),
    "20KPerMin": Limit(20_000, Period.MINUTE),
    "50KPerMin": Limit(50_000, Period.MINUTE),
    UNLIMITED: None,
}
"""Limits of an API or a resource that may be said by name."""


def parse_limit(requests: int | None) -> int | None:
    """Check a number of requests; None is unlimited.

    Raises:
        Invalid: it is out of range.
    """
    if requests is not None and not 1 <= requests <= MOST_REQUESTS:
        raise Invalid("requests", str(requests), f"a number from 1 to {MOST_REQUESTS:,}")
    return requests


def check_limit(field: str, limit: Limit | None) -> None:
    """Check a limit that stands in a field of its own.

    Raises:
        Invalid: its number is out of range.
    """
    if limit is not None and not 1 <= limit.requests <= MOST_REQUESTS:
        raise Invalid(f"{field}.requests", str(limit.requests), f"a number from 1 to {MOST_REQUESTS:,}")


def check_burst(burst: Limit | None) -> None:
    """Check the burst of a plan.

    Raises:
        Invalid: it counts in longer windows than minutes, or its number is out of range.
    """
    check_limit("burst", burst)
    if burst is not None and burst.per not in (Period.SECOND, Period.MINUTE):
        raise Invalid("burst.per", repr(str(burst.per)), "second or minute")


def parse_tier(text: str) -> str:
    """Check the tier of an application.

    Raises:
        Invalid: there is none of that name.
    """
    if text not in TIERS:
        raise Invalid("tier", repr(text), f"one of {', '.join(TIERS)}")
    return text


def parse_bandwidth(text: str) -> int:
    """Read bytes such as 10MB; a kilobyte has 1,024.

    Raises:
        Invalid: it is no such text.
    """
    found = _BANDWIDTH.fullmatch(text)
    if found is None:
        raise Invalid("bandwidth", repr(text), "a number of KB, MB or GB such as 10MB")
    return int(found[1]) * _UNITS[found[2]]


def written_bandwidth(size: int) -> str:
    """Write bytes in the largest unit that has a whole number of them."""
    unit = next(unit for unit in ("GB", "MB", "KB") if size % _UNITS[unit] == 0 or unit == "KB")
    return f"{size // _UNITS[unit]}{unit}"
