"""Maps split by their keys, because HAProxy 2.8 searches a map from its beginning to change an entry."""

from __future__ import annotations


def shard_of(key: str, count: int) -> int:
    """Return the number of the map that has this key; `shards.lua` finds it the same way."""
    data = key.encode()
    return _number(data[-4:], count) if len(data) >= 4 else 0


def route_shard_of(organization: str, segment: str, count: int) -> int:
    """Return the number of the map that routes the first segment of a context in this organization.

    Both count: many organizations have the same contexts.
    """
    route = f"/t/{organization}".encode()
    return _number(route[-3:] + (route + f"/{segment}".encode())[-3:], count)


def _number(data: bytes, count: int) -> int:
    number = 0
    for byte in data:
        number = number * 37 + byte
    return number % count


def shard_name(family: str, number: int) -> str:
    """Name the file of one map of a family."""
    return f"{family}-{number:02x}.map"
