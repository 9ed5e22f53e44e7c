"""Denied addresses become one map of prefixes in which the longest match says everything."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.gateway.haproxy.denied import denied_entries, networks_of
from ostiary.gateway.plan import Denial


def a_denial(value: str, organization: str = "a", *, invert: bool = False) -> Denial:
    return Denial(f"{organization}{value}{invert}", organization, "IP", value, invert)


@pytest.mark.parametrize(
    ("value", "invert", "networks"),
    [
        ("192.0.2.7-192.0.2.7", False, ["192.0.2.7/32"]),
        ("192.0.2.0-192.0.2.255", False, ["192.0.2.0/24"]),
        ("192.0.2.3-192.0.2.8", False, ["192.0.2.3/32", "192.0.2.4/30", "192.0.2.8/32"]),
        ("2001:db8::-2001:db8::1", False, ["2001:db8::/127"]),
        ("128.0.0.0-255.255.255.255", True, ["0.0.0.0/1", "::/0"]),
        ("0.0.0.0-255.255.255.255", True, ["::/0"]),
        ("::-7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", True, ["8000::/1", "0.0.0.0/0"]),
    ],
)
def test_a_range_is_prefixes(value: str, invert: bool, networks: list[str]) -> None:
    assert [str(one) for one in networks_of(a_denial(value, invert=invert))] == networks


def test_a_prefix_names_whoever_denies_what_is_around_it() -> None:
    denials = [
        a_denial("10.0.0.0-10.255.255.255", "a"),
        a_denial("10.1.0.0-10.1.255.255", "b"),
        a_denial("10.1.2.3-10.1.2.3", "c"),
        a_denial("10.2.0.0-10.2.255.255", "a"),
        a_denial("0.0.0.0-255.255.255.255", "d"),
    ]

    entries = {entry.key: entry.value for entry in denied_entries(denials)}

    assert entries == {
        "0.0.0.0/0": ",d,",
        "10.0.0.0/8": ",a,d,",
        "10.1.0.0/16": ",a,b,d,",
        "10.1.2.3/32": ",a,b,c,d,",
        "10.2.0.0/16": ",a,d,",
    }


def test_what_is_no_address_is_not_in_the_map() -> None:
    assert denied_entries([Denial("d", "a", "USER", "bob@my_company")]) == []


_ADDRESSES = st.integers(min_value=0, max_value=255)


@given(
    st.lists(st.tuples(_ADDRESSES, _ADDRESSES, st.sampled_from("abc"), st.booleans()), max_size=6), _ADDRESSES
)
def test_the_longest_match_says_what_the_policies_say(
    said: list[tuple[int, int, str, bool]], last: int
) -> None:
    ranges = [(min(one, other), max(one, other), who, invert) for one, other, who, invert in said]
    denials = [
        a_denial(f"192.0.2.{low}-192.0.2.{high}", who, invert=invert) for low, high, who, invert in ranges
    ]
    caller = ip_address(f"192.0.2.{last}")

    matches: list[tuple[int, str]] = []
    for entry in denied_entries(denials):
        network: IPv4Network | IPv6Network = ip_network(entry.key)
        if caller in network:
            matches.append((network.prefixlen, entry.value or ""))
    denied_by = max(matches)[1] if matches else ""

    expected = {who for low, high, who, invert in ranges if (low <= last <= high) != invert}
    assert {one for one in denied_by.split(",") if one} == expected
