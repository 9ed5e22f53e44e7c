"""The groups of a person: those its entry names, or those a search finds; and the groups of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from anyldap.ldap import dn as distinguished_names
from anyldap.ldap.errors import LDAPError
from anyldap.protocols.pureber import BERBase
from anyldap.protocols.pureldap import LDAPFilter_or

from ostiary.identity.user_stores.contract import StoreUnavailable
from ostiary.identity.user_stores.ldap.bearers import Bearers
from ostiary.identity.user_stores.ldap.client import DirectoryConnection, DirectoryError, Entry
from ostiary.identity.user_stores.ldap.filters import FilterTemplate
from ostiary.identity.user_stores.ldap.meanings import meaning_of
from ostiary.identity.user_stores.ldap.servers import Servers
from ostiary.identity.user_stores.ldap.settings import Groups
from ostiary.identity.user_stores.steps import note

MOST_GROUPS: Final = 1_000
"""A person in more of them is not logged in: part of a permission is no permission."""
DEEPEST: Final = 10
"""How many groups may be inside one another; what is further out is not looked for."""
_AT_ONCE: Final = 20

Found = dict[str, str]
"""Name by DN, both as the directory writes them."""


class GroupFinder:
    """Finds groups as the settings say."""

    def __init__(self, settings: Groups, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._filter = FilterTemplate(settings.filter)
        self._anything = FilterTemplate("(objectClass=*)").filled()
        self._bearers = Bearers(settings.base, settings.name, self._filter.for_anybody(), monotonic)

    async def of(
        self, servers: Servers, entry: Entry, username: str
    ) -> tuple[frozenset[str], frozenset[str]]:
        """The names of the groups that this entry is in: those that count, and the ambiguous ones.

        Raises:
            StoreUnavailable: nobody can say, or there are too many.
        """
        try:
            found = await self._direct(servers, entry, username)
            if self._settings.nested:
                await self._outer(servers, found)
            alone = await self._bearers.alone(servers, found)
        except DirectoryError as error:
            raise _unreadable(error) from error
        counting = frozenset(found[dn] for dn in alone)
        return counting, frozenset(found.values()) - counting

    async def _direct(self, servers: Servers, entry: Entry, username: str) -> Found:
        if self._settings.member_of is None:
            return await self._search(servers, self._filter.filled(dn=entry.dn, username=username))
        named = [value.decode("utf-8", "replace") for value in entry.values(self._settings.member_of)]
        return _bounded({dn: await self._name(servers, dn) for dn in named})

    async def _outer(self, servers: Servers, found: Found) -> None:
        """Add the groups that these are in, and so on, each once."""
        new = list(found)
        for _ in range(DEEPEST):
            queries = [self._filter.filled(dn=dn, username=dn) for dn in new]
            around: Found = {}
            for start in range(0, len(queries), _AT_ONCE):
                some = queries[start : start + _AT_ONCE]
                around |= await self._search(servers, some[0] if len(some) == 1 else LDAPFilter_or(some))
            new = [dn for dn in around if dn not in found]
            found |= around
            _bounded(found)
            if not new:
                return

    async def _search(self, servers: Servers, query: BERBase) -> Found:
        base, name = self._settings.base or "", self._settings.name  # without a base nothing is searched

        async def work(connection: DirectoryConnection) -> Sequence[Entry]:
            return await connection.search(base, query, [name], MOST_GROUPS)

        entries = await servers.run("search", work)
        found = _bounded({entry.dn: text for entry in entries if (text := _first(entry, name))})
        note("groups", base=base, filter=self._filter.text, found=len(found))
        return found

    async def _name(self, servers: Servers, dn: str) -> str:
        """The name in the DN itself, where that is the attribute; else in the group's entry."""
        attribute = self._settings.name
        try:
            first, value, _ = distinguished_names.str2dn(dn)[0][0]
        except (LDAPError, IndexError):
            first = value = ""
        if first.lower() == attribute.lower():
            return value
        entry = await servers.run("search", lambda one: one.read(dn, self._anything, [attribute]))
        return (_first(entry, attribute) if entry else "") or dn


def _first(entry: Entry, attribute: str) -> str:
    return next((value.decode("utf-8", "replace") for value in entry.values(attribute)), "")


def _bounded(found: Found) -> Found:
    if len(found) > MOST_GROUPS:
        raise StoreUnavailable(
            f"more than {MOST_GROUPS} groups: make groups.filter find fewer", knows_user=True
        )
    return found


def _unreadable(error: LDAPError) -> StoreUnavailable:
    return StoreUnavailable(f"groups cannot be read ({meaning_of(error)})", knows_user=True)
