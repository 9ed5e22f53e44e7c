"""Logging in by somebody else's table: one row by the name, its hash verified here, then the groups."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import TextClause, text

from ostiary.foundation.secrets import random_token
from ostiary.identity.errors import HashingBusy
from ostiary.identity.hashes import problem_of, verify, verify_salted
from ostiary.identity.user_names import canonical_or_none
from ostiary.identity.user_stores.contract import KnownUser, Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.sql.connections import Connections, Row, describe
from ostiary.identity.user_stores.sql.settings import SQLSettings
from ostiary.identity.user_stores.steps import note
from ostiary.identity.user_stores.surroundings import Surroundings

MOST_GROUPS: Final = 1_000
_LONGEST_ID: Final = 255
_NOBODY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "",
)
_NOT_ACTIVE: Final = "the row is not active"
_YES: Final = frozenset({"1", "t", "true", "y", "yes", "active", "enabled"})


class SQLService:
    """One database of people."""

    def __init__(self, settings: SQLSettings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self._connections = Connections(settings, around)
        self._user_query = text(settings.user_query)
        self._id_query = text(settings.id_query) if settings.id_query else None
        self._groups_query = text(settings.groups_query) if settings.groups_query else None
        self._last_hash = _NOBODY
        """Somebody's hash and salt: verifying takes as long for a name that nobody has."""

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """See `UserStore`."""
        row = await self._find(username)
        if row is None:
            await self._is_right(*self._last_hash, password)
            return None
        try:
            await self._prove(row, password)
            return await self._record(username, row)
        except StoreUnavailable as outage:
            outage.knows_user = True
            raise

    async def look_up(self, user: KnownUser) -> UserRecord | None:
        """See `LoginService`. Without `id_query` by name: who has that now has to be the same person."""
        if self._id_query is None:
            row = await self._find(user.known_as)
        else:
            row = await self._one("id_query", self._id_query, {"id"}, id=user.immutable_id)
        if row is None or _identifier(row["id"]) != user.immutable_id:
            return None
        if not _is_active(row) or not _as_text(row.get("hash", "-")).strip():
            note("refused", meaning=_NOT_ACTIVE)
            raise Refused(certain=True, meaning=_NOT_ACTIVE)
        return await self._record(user.username, row)

    async def probe(self) -> None:
        """See `LoginService`: asks every query about nobody."""
        await self._find(f"probe-{random_token(9)}")
        for name, query in (("id_query", self._id_query), ("groups_query", self._groups_query)):
            if query is not None:
                try:
                    await self._connections.rows(query, 1, id=None)
                except StoreUnavailable as outage:
                    raise StoreUnavailable(f"{name}: {outage.reason}", down=outage.down) from outage

    async def close(self) -> None:
        """See `LoginService`."""
        await self._connections.close()

    async def _find(self, username: str) -> Row | None:
        return await self._one("user_query", self._user_query, {"id", "hash"}, username=username)

    async def _one(self, name: str, query: TextClause, needed: set[str], **values: str) -> Row | None:
        found = await self._connections.rows(query, 2, **values)
        note(name, database=describe(self._settings.database), **values, rows=len(found))
        if len(found) > 1:
            raise StoreUnavailable(f"{name} finds several rows for one person", knows_user=True)
        if found and (missing := sorted(needed - found[0].keys())):
            raise StoreUnavailable(f"{name} has no column {missing[0]!r}", knows_user=True)
        return found[0] if found else None

    async def _prove(self, row: Row, password: SecretStr) -> None:
        """Whether the password is the row's; the same work whether the row may log in or not."""
        known, salt = _as_text(row["hash"]).strip(), _as_text(row.get("salt"))
        problem = problem_of(known) if self._settings.hash_layout is None else None
        if problem is None:
            self._last_hash = (known, salt)
        is_right = await self._is_right(known, salt, password)
        if problem is not None:
            meaning = f"the hash cannot be checked: {problem}"
        elif not _is_active(row):
            meaning = _NOT_ACTIVE
        elif not is_right:
            meaning = "wrong password"
        else:
            return
        note("refused", meaning=meaning)
        raise Refused(certain=True, meaning=meaning)

    async def _is_right(self, known: str, salt: str, password: SecretStr) -> bool:
        layout = self._settings.hash_layout

        def work() -> bool:
            if layout is None:
                return verify(known, password)
            return bool(known) and verify_salted(
                layout.algorithm,
                salt,
                known,
                password,
                salt_first=layout.salt_first,
                encoding=layout.encoding,
            )

        try:
            return await self._around.hasher.compute(work)
        except HashingBusy as error:
            raise StoreUnavailable("hashing_busy") from error

    async def _record(self, username: str, row: Row) -> UserRecord:
        identifier = _identifier(row["id"])
        if not 0 < len(identifier) <= _LONGEST_ID:
            raise StoreUnavailable("user_query gives no id", knows_user=True)
        groups = await self._groups(row["id"])
        claims = dict(self._claims(row))
        told = canonical_or_none(
            _as_text(row.get("name")), case_sensitive=self._around.options.case_sensitive
        )
        note("record", id=identifier, groups=sorted(groups), claims=claims)
        return UserRecord(identifier, told or username, groups, claims)

    async def _groups(self, id_: Any) -> frozenset[str]:
        if self._groups_query is None:
            return frozenset()
        rows = await self._connections.rows(self._groups_query, MOST_GROUPS + 1, id=id_)
        note("groups_query", rows=len(rows))
        if len(rows) > MOST_GROUPS:
            reason = f"more than {MOST_GROUPS} groups: make groups_query find fewer"
            raise StoreUnavailable(reason, knows_user=True)
        return frozenset(name for row in rows if (name := _as_text(next(iter(row.values()), None))))

    def _claims(self, row: Row) -> Iterator[tuple[str, str]]:
        for claim, column in self._settings.claims.items():
            value = _as_text(row.get(column))
            if value:
                yield claim, value


def make_sql(settings: SQLSettings, around: Surroundings) -> SQLService:
    """The adapter of a database."""
    return SQLService(settings, around)


def _is_active(row: Row) -> bool:
    """A row without the column is; NULL is not."""
    if "active" not in row:
        return True
    value = row["active"]
    if isinstance(value, bytes) and len(value) == 1 and value < b" ":  # BIT(1) of MySQL
        return value == b"\1"
    return value is True or _as_text(value).strip().lower() in _YES


def _identifier(value: Any) -> str:
    """The id as text, the same for each login: numbers in digits, octets of a UUID as that, others in hex."""
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if len(value) == 16 else value.hex()
    return _as_text(value)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
