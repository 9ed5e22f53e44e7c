"""Logging in at a directory: find the person, let it prove who it is, read its groups and claims.

Where everybody's DN follows from the name, that is escaped as RFC 4514 §2.4 says.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from anyldap.ldap import errors
from anyldap.ldap.dn import escape_dn_chars
from anyldap.ldap.filter import escape_filter_chars
from pydantic import SecretStr

from ostiary.foundation.secrets import random_token
from ostiary.identity.user_names import canonical_or_none
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.ldap.client import (
    DirectoryConnection,
    DirectoryError,
    Entry,
    InvalidCredentials,
    NoSuchObject,
)
from ostiary.identity.user_stores.ldap.filters import FilterTemplate
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
        self._filter = FilterTemplate(settings.users.filter)
        self._groups = GroupFinder(settings.groups, around.monotonic) if settings.groups else None
        wanted = [settings.users.id, settings.users.name, *settings.claims.values()]
        if settings.groups and settings.groups.member_of:
            wanted.append(settings.groups.member_of)
        self._attributes = list(dict.fromkeys(wanted))

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

    async def find(self, username: str) -> Entry | None:
        """The one entry of that name.

        Raises:
            StoreUnavailable: there are several, or nobody can say.
        """
        base, query = self._settings.users.base, self._filter.filled(username=username)

        async def work(connection: DirectoryConnection) -> list[Entry]:
            found = await connection.find(base, query, self._attributes)
            note(
                "search",
                server=connection.address.url,
                base=base,
                filter=self._shown(username),
                found=len(found),
            )
            return found

        try:
            found = await self._servers.run("search", work)
        except NoSuchObject as error:
            raise StoreUnavailable(f"users.base: there is no {base} for us to see") from error
        except DirectoryError as error:
            raise StoreUnavailable(f"people cannot be looked for ({meaning_of(error)})") from error
        if len(found) > 1:
            note("several entries", advice="make users.filter find one person for a name")
            raise StoreUnavailable("users.filter finds several entries for one name", knows_user=True)
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
        users = self._settings.users
        identifier = readable(users.id, next(iter(entry.values(users.id)), b""))
        if not 0 < len(identifier) <= _LONGEST_ID:
            raise StoreUnavailable(f"users.id: the entry has no {users.id} for us to see", knows_user=True)
        groups, ambiguous = frozenset[str](), frozenset[str]()
        if self._groups is not None:
            groups, ambiguous = await self._groups.of(self._servers, entry, username)
        claims = dict(_claims(self._settings.claims, entry))
        note("record", id=identifier, groups=sorted(groups), claims=claims)
        return UserRecord(identifier, self._name(username, entry), groups, claims, ambiguous)

    def _name(self, username: str, entry: Entry) -> str:
        """The person's own name, whatever was typed: it may have been an address, or in another case."""
        told = [
            name
            for value in entry.values(self._settings.users.name)
            if (name := canonical_or_none(_text(value), case_sensitive=self._case_sensitive))
        ]
        return username if not told or username in told else told[0]

    def _shown(self, username: str) -> str:
        return self._filter.text.replace("{username}", escape_filter_chars(username))


def make_ldap(settings: LDAPSettings, around: Surroundings) -> LDAPService:
    """The adapter of a directory."""
    return LDAPService(settings, Servers(settings, around.policy, around.deadline), around)


def readable(attribute: str, value: bytes) -> str:
    """An identifier as text: Active Directory's objectGUID as the UUID it is, other octets in hexadecimal."""
    if attribute.lower() == "objectguid" and len(value) == 16:
        return str(uuid.UUID(bytes_le=value))
    return _text(value) or value.hex()


def _claims(mapping: Mapping[str, str], entry: Entry) -> Sequence[tuple[str, str]]:
    """Claims from attributes; several values are separated by commas, in the order of the alphabet."""
    found = []
    for claim, attribute in mapping.items():
        texts = sorted(filter(None, map(_text, entry.values(attribute))))
        if texts:
            found.append((claim, ",".join(texts)))
    return found


def _text(value: bytes) -> str:
    """UTF-8 text without control characters; empty for anything else."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""
