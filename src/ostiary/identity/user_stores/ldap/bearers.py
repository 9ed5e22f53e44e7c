"""Which groups bear a name that no other group of the directory has, or has one that looks like it.

Whoever may make groups in some corner of a directory may give them any name. So a group counts where a search
for its name, among all that could be somebody's group, finds it and nothing else (ADR 0013).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import takewhile
from typing import Final

from anyldap.ldap import dn as distinguished_names
from anyldap.ldap.errors import LDAPError
from anyldap.protocols.pureber import BERBase
from anyldap.protocols.pureldap import (
    LDAPAssertionValue,
    LDAPAttributeDescription,
    LDAPFilter_and,
    LDAPFilter_equalityMatch,
    LDAPFilter_or,
)

from ostiary.identity.group_names import likeness
from ostiary.identity.user_stores.ldap.client import (
    DirectoryConnection,
    Entry,
    NoSuchObject,
    SizeLimitExceeded,
)
from ostiary.identity.user_stores.ldap.servers import Servers

_NAMES_AT_ONCE: Final = 50
_MOST_BEARERS: Final = 200
_REMEMBERED_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 10_000
_DN = tuple[tuple[str, ...], ...]
_Group = tuple[str, str]
"""DN and name."""


class Bearers:
    """Looks for everything that bears a group's name. `anybody` finds whatever is a group of anybody."""

    def __init__(self, base: str | None, name: str, anybody: BERBase, monotonic: Callable[[], float]) -> None:
        self._base = base
        self._name = name
        self._anybody = anybody
        self._monotonic = monotonic
        self._known: dict[_Group, float] = {}

    async def alone(self, servers: Servers, groups: Mapping[str, str]) -> frozenset[str]:
        """The DNs of those groups, given with their names, that no other could be taken for.

        That a group was alone is remembered for a minute, of this group: one of the same name that was made
        since is searched for as soon as somebody is in it.

        Raises:
            DirectoryError: nobody can say.
        """
        now = self._monotonic()
        known = {group for group in groups.items() if now < self._known.get(group, now)}
        new = await self._search(servers, groups.items() - known)
        if len(self._known) + len(new) > _MOST_REMEMBERED:
            self._known.clear()
        self._known |= dict.fromkeys(new, now + _REMEMBERED_SECONDS)
        return frozenset(dn for dn, _ in known | new)

    async def _search(self, servers: Servers, groups: Set[_Group]) -> Set[_Group]:
        names: dict[str, set[str]] = defaultdict(set)
        for dn, name in groups:
            names[self._base or _top(dn)].add(name)
        found = {base: await self._all(servers, base, sorted(some)) for base, some in names.items() if base}
        return {
            (dn, name)
            for dn, name in groups
            if found.get(self._base or _top(dn), {}).get(likeness(name)) == {_parts(dn)}
        }

    async def _all(self, servers: Servers, base: str, names: Sequence[str]) -> Mapping[str, Set[_DN]]:
        """Who bears each of the names, by likeness; nobody where there are more than we read."""
        bearers: dict[str, set[_DN]] = defaultdict(set)
        for start in range(0, len(names), _NAMES_AT_ONCE):
            for entry in await self._some(servers, base, names[start : start + _NAMES_AT_ONCE]):
                for value in entry.values(self._name):
                    bearers[likeness(value.decode("utf-8", "replace"))].add(_parts(entry.dn))
        return bearers

    async def _some(self, servers: Servers, base: str, names: Sequence[str]) -> Sequence[Entry]:
        query = LDAPFilter_and([LDAPFilter_or(list(map(self._named, names))), self._anybody])

        async def work(connection: DirectoryConnection) -> Sequence[Entry]:
            return await connection.search(base, query, [self._name], _MOST_BEARERS)

        try:
            found = await servers.run("search", work)
            if len(found) <= _MOST_BEARERS:
                return found
        except NoSuchObject:
            return []
        except SizeLimitExceeded:
            pass
        if len(names) == 1:
            return []
        half = len(names) // 2  # one name that too many bear is no harm to the others
        return [
            *await self._some(servers, base, names[:half]),
            *await self._some(servers, base, names[half:]),
        ]

    def _named(self, name: str) -> BERBase:
        value = LDAPAssertionValue(name.encode("utf-8", "replace"))
        return LDAPFilter_equalityMatch(LDAPAttributeDescription(self._name), value)


def _top(dn: str) -> str:
    """The domain that a DN is in (RFC 2247 §3), or else the last name of it; empty where it is no DN."""
    names = _taken_apart(dn)
    domain = list(takewhile(lambda rdn: rdn[0][0].lower() == "dc", reversed(names)))
    return distinguished_names.dn2str(domain[::-1] or names[-1:])


def _parts(dn: str) -> _DN:
    """A DN as it is compared: one spelling for attributes and values that differ in case only."""
    return tuple(
        tuple(sorted(f"{attribute}={value}".lower() for attribute, value, _ in rdn))
        for rdn in _taken_apart(dn)
    )


def _taken_apart(dn: str) -> Sequence[Sequence[tuple[str, str, int]]]:
    try:
        return distinguished_names.str2dn(dn)
    except LDAPError:
        return []
