"""Denied addresses as one map of prefixes: which organizations deny a caller. Pure.

HAProxy finds the longest prefix that holds an address, and that one alone. So each prefix names every
organization that denies it, by itself or by a prefix around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Final

from ostiary.gateway.haproxy.decisions import MapEntry, encode
from ostiary.gateway.plan import Denial

DENIED_MAP: Final = "denied.map"
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
_EVERYTHING: Final = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


def denied_entries(denials: Iterable[Denial]) -> list[MapEntry]:
    """Draw the map: a prefix → the organizations that deny it, between commas."""
    listed: dict[Network, set[str]] = {}
    for denial in denials:
        if denial.condition == "IP":
            for network in networks_of(denial):
                listed.setdefault(network, set()).add(denial.organization_id)
    return [
        MapEntry(DENIED_MAP, str(network), "," + "".join(encode(one) + "," for one in sorted(organizations)))
        for network, organizations in _with_those_around(listed)
    ]


def networks_of(denial: Denial) -> list[Network]:
    """Return the prefixes a condition on addresses denies: its range, or all there is around it.

    Raises:
        ValueError: `value` is not `first-last` of one family.
    """
    first, _, last = denial.value.partition("-")
    start, end = ip_address(first), ip_address(last)
    if not denial.invert:
        return _range(start, end)
    everything = _EVERYTHING[start.version]
    other = _EVERYTHING[10 - start.version]
    lowest, highest = everything.network_address, everything.broadcast_address
    below = _range(lowest, start - 1) if start > lowest else []  # type: ignore[operator]
    above = _range(end + 1, highest) if end < highest else []  # type: ignore[operator]
    return [*below, *above, other]


def _range(start: Address, end: Address) -> list[Network]:
    return list(summarize_address_range(start, end))


def _with_those_around(listed: dict[Network, set[str]]) -> Iterator[tuple[Network, set[str]]]:
    """In this order what is around a prefix comes before it, so a stack has it."""
    around: list[tuple[Network, set[str]]] = []
    for network in sorted(listed, key=lambda one: (one.version, int(one.network_address), one.prefixlen)):
        while around and not _holds(around[-1][0], network):
            around.pop()
        organizations = listed[network] | (around[-1][1] if around else set())
        around.append((network, organizations))
        yield network, organizations


def _holds(outer: Network, inner: Network) -> bool:
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
