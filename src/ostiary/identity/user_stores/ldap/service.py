"""Logging in at a directory: find the person, let it prove who it is, read its groups and claims.

Where everybody's DN follows from the name, that is escaped as RFC 4514 §2.4 says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Final

from anyldap.ldap import errors
from anyldap.ldap.dn import escape_dn_chars
from anyldap.ldap.filter import escape_filter_chars
from anyldap.protocols.pureber import BERBase
from pydantic import SecretStr

from ostiary.foundation.secrets import random_token
from ostiary.identity.user_names import canonical_or_none
from ostiary.identity.user_stores.contract import KnownUser, Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.ldap.client import (
    DirectoryConnection,
    DirectoryError,
    Entry,
    InvalidCredentials,
    NoSuchObject,
)
from ostiary.identity.user_stores.ldap.entries import BARRING, barred, claims_of, identifier, octets, text
from ostiary.identity.user_stores.ldap.filters import FilterTemplate, one_of
from ostiary.identity.user_stores.ldap.groups import GroupFinder
from ostiary.identity.user_stores.ldap.meanings import meaning_of, policy_meaning
from ostiary.identity.user_stores.ldap.servers import Servers, Work
from ostiary.identity.user_stores.ldap.settings import LDAPSettings
from ostiary.identity.user_stores.steps import note
from ostiary.identity.user_stores.surroundings import Surroundings

_REFUSALS: Final = (
    InvalidCredentials,
    errors.INAPPROPRIATE_AUTH,
    errors.CONSTRAINT_VIOLATION,
    errors.UNWILLING_TO_PERFORM,
    errors.INSUFFICIENT_ACCESS,
)
"""What a directory answers to a bind when it does not take this password."""
_LONGEST_ID: Final = 255


class LDAPService:
    """One directory."""

    def __init__(self, settings: LDAPSettings, servers: Servers, around: Surroundings) -> None:
        self._settings = settings
        self._case_sensitive = around.options.case_sensitive
        self._servers = servers
        self._clock = around.clock
        self._filter = FilterTemplate(settings.users.filter)
        self._groups = GroupFinder(settings.groups, around.monotonic) if settings.groups else None
        wanted = [settings.users.id, settings.users.name, *settings.claims.values()]
        if settings.groups and settings.groups.member_of:
            wanted.append(settings.groups.member_of)
        self._attributes = list(dict.fromkeys(wanted))
        self._of_anybody = self._filter.for_anybody()

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """See `UserStore`. With `dn_pattern` nobody can tell an unknown user from a wrong password."""
        if self._settings.dn_pattern is not None:
            return await self._by_pattern(self._settings.dn_pattern, username, password)
        entry = await self.find(username)
        if entry is None:
            return None
        try:
            await self._prove(entry.dn, password, certain=True)
            return await self._record(username, entry)
        except StoreUnavailable as outage:
            outage.knows_user = True
            raise

    async def look_up(self, user: KnownUser) -> UserRecord | None:
        """See `LoginService`: whom `users.filter` finds by any name, and has that identifier."""
        if self._settings.bind is None and self._settings.dn_pattern is not None:
            raise StoreUnavailable("without 'bind' and with 'dn_pattern' people are seen by themselves alone")
        attribute = self._settings.users.id
        query = one_of(attribute, octets(attribute, user.immutable_id), among=self._of_anybody)
        shown = f"({attribute}={user.immutable_id})"
        entry = await self._find(query, shown, [*self._attributes, *BARRING])
        if entry is None or self._identifier(entry) != user.immutable_id:
            return None
        meaning = barred(entry, self._clock())
        if meaning:
            note("refused", dn=entry.dn, meaning=meaning)
            raise Refused(certain=True, meaning=meaning)
        return await self._record(user.username, entry)

    async def find(self, username: str) -> Entry | None:
        """The one entry of that name.

        Raises:
            StoreUnavailable: there are several, or nobody can say.
        """
        shown = self._filter.text.replace("{username}", escape_filter_chars(username))
        return await self._find(self._filter.filled(username=username), shown, self._attributes)

    async def _find(self, query: BERBase, shown: str, attributes: Sequence[str]) -> Entry | None:
        base = self._settings.users.base

        async def work(connection: DirectoryConnection) -> list[Entry]:
            found = await connection.find(base, query, attributes)
            note("search", server=connection.address.url, base=base, filter=shown, found=len(found))
            return found

        try:
            found = await self._servers.run("search", work)
        except NoSuchObject as error:
            raise StoreUnavailable(f"users.base: there is no {base} for us to see") from error
        except DirectoryError as error:
            raise StoreUnavailable(f"people cannot be looked for ({meaning_of(error)})") from error
        if len(found) > 1:
            note("several entries", advice="make users.filter find one person for a name")
            raise StoreUnavailable("users.filter finds several entries for one name or id", knows_user=True)
        return found[0] if found else None

    async def probe(self) -> None:
        """See `LoginService`: connects, says who we are, and looks for somebody made up."""
        if self._settings.bind is None and self._settings.dn_pattern is not None:
            with suppress(Refused):
                await self.authenticate(f"probe-{random_token(9)}", SecretStr(random_token()))
            return
        base, everything = self._settings.users.base, FilterTemplate("(objectClass=*)").filled()
        try:
            there = await self._servers.run("search", lambda one: one.read(base, everything, ["1.1"]))
        except DirectoryError as error:
            raise StoreUnavailable(f"users.base cannot be read ({meaning_of(error)})") from error
        if there is None:
            raise StoreUnavailable(f"users.base: there is no {base} for us to see")
        await self.find(f"probe-{random_token(9)}")

    async def close(self) -> None:
        """See `LoginService`."""
        await self._servers.close()

    async def _by_pattern(self, pattern: str, username: str, password: SecretStr) -> UserRecord:
        dn = pattern.replace("{username}", escape_dn_chars(username))
        query = self._filter.filled(username=username)
        is_searched = self._settings.bind is not None

        def read(connection: DirectoryConnection) -> Awaitable[Entry | None]:
            return connection.read(dn, query, self._attributes)

        entry = await self._prove(dn, password, certain=False, then=None if is_searched else read)
        if is_searched:
            entry = await self._servers.run("search", read)
        if entry is None:
            note("refused", dn=dn, meaning="users.filter does not find this entry")
            raise Refused(certain=False)
        return await self._record(username, entry)

    async def _prove(
        self, dn: str, password: SecretStr, *, certain: bool, then: Work[Entry | None] | None = None
    ) -> Entry | None:
        """Let the person say who it is. What it may not do with a right password counts as refused."""

        async def work(connection: DirectoryConnection) -> Entry | None:
            policy = await connection.bind(dn, password)
            if policy is not None and policy.error is not None:
                meaning = policy_meaning(policy.error)
                note("refused", server=connection.address.url, dn=dn, meaning=meaning)
                raise Refused(certain=certain, meaning=meaning)
            note("bind", server=connection.address.url, dn=dn)
            return None if then is None else await then(connection)

        try:
            return await self._servers.run("login", work)
        except _REFUSALS as error:
            meaning = meaning_of(error)
            note("refused", dn=dn, meaning=meaning)
            raise Refused(certain=certain, meaning=meaning) from None
        except DirectoryError as error:
            raise StoreUnavailable(f"a login could not be tried ({meaning_of(error)})") from error

    async def _record(self, username: str, entry: Entry) -> UserRecord:
        id_, name = self._identifier(entry), self._name(username, entry)
        if not 0 < len(id_) <= _LONGEST_ID:
            reason = f"users.id: the entry has no {self._settings.users.id} for us to see"
            raise StoreUnavailable(reason, knows_user=True)
        groups, ambiguous = frozenset[str](), frozenset[str]()
        if self._groups is not None:
            groups, ambiguous = await self._groups.of(self._servers, entry, name)
        claims = dict(claims_of(self._settings.claims, entry))
        note("record", id=id_, groups=sorted(groups), claims=claims)
        return UserRecord(id_, name, groups, claims, ambiguous)

    def _identifier(self, entry: Entry) -> str:
        attribute = self._settings.users.id
        return identifier(attribute, next(iter(entry.values(attribute)), b""))

    def _name(self, username: str, entry: Entry) -> str:
        """The person's own name, whatever was typed: it may have been an address, or in another case."""
        told = [
            name
            for value in entry.values(self._settings.users.name)
            if (name := canonical_or_none(text(value), case_sensitive=self._case_sensitive))
        ]
        return username if not told or username in told else told[0]


def make_ldap(settings: LDAPSettings, around: Surroundings) -> LDAPService:
    """The adapter of a directory."""
    return LDAPService(settings, Servers(settings, around.policy, around.deadline), around)
