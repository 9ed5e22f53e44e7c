"""Token families, refresh tokens, opaque access tokens and revocations in SQL.

Order of locks: the family's row first, then its tokens. Consuming is one conditional UPDATE, and
its row count is the answer (RFC 9700 §4.14.2).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, delete, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ostiary.foundation.database import Instant
from ostiary.oauth.model import Scope, TokenClaims, TokenHolder
from ostiary.oauth.tables import access_tokens, refresh_tokens, revocations, token_families
from ostiary.organizations import by_id


@dataclass(frozen=True, slots=True)
class TokenFamily:
    """What one login gave a client: every refresh and access token that descends from it."""

    id: str
    organization_id: str
    client_id: str
    subject_id: str
    store: str
    username: str
    groups: frozenset[str]
    scope: Scope
    password_checked_at: datetime
    access_until: datetime
    refresh_until: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """What must be known to give the access token of an answer once more."""

    token_id: str
    scope: Scope
    epoch: int
    issued_at: datetime
    expires_at: datetime

    def as_json(self) -> dict[str, Any]:
        """The form kept in a refresh token's row."""
        times = {"issued_at": self.issued_at.isoformat(), "expires_at": self.expires_at.isoformat()}
        return {"token_id": self.token_id, "scope": sorted(self.scope), "epoch": self.epoch, **times}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "AccessRecord":
        """Read `as_json` back."""
        return cls(
            token_id=kept["token_id"],
            scope=frozenset(kept["scope"]),
            epoch=kept["epoch"],
            issued_at=datetime.fromisoformat(kept["issued_at"]),
            expires_at=datetime.fromisoformat(kept["expires_at"]),
        )


@dataclass(frozen=True, slots=True)
class RefreshRecord:
    """One refresh token: unused, or consumed at a time."""

    fingerprint: str
    organization_id: str
    family_id: str
    expires_at: datetime
    consumed_at: datetime | None
    access: AccessRecord


# Built once: composing a statement costs more than SQLite takes to answer it.
_FAMILY = select(token_families).where(
    token_families.c.id == bindparam("family_id"),
    token_families.c.organization_id == bindparam("organization_id"),
)
_REFRESH = select(refresh_tokens).where(refresh_tokens.c.fingerprint == bindparam("fingerprint"))
_ACCESS = select(access_tokens).where(access_tokens.c.fingerprint == bindparam("fingerprint"))
_REVOKED = (  # two names cost half of what a list of them does
    select(revocations.c.id)
    .where(or_(revocations.c.id == bindparam("token"), revocations.c.id == bindparam("family")))
    .limit(1)
)


def add_family(connection: Connection, family: TokenFamily) -> None:
    """Write a new family."""
    row = {name: getattr(family, name) for name in TokenFamily.__slots__}
    row |= {"groups": sorted(family.groups), "scope": sorted(family.scope)}
    connection.execute(insert(token_families).values(row))


def find_family(connection: Connection, organization_id: str, family_id: str) -> TokenFamily | None:
    """The organization's family of that id."""
    these = {"family_id": family_id, "organization_id": organization_id}
    row = connection.execute(_FAMILY, these).first()
    return None if row is None else _family(row)


def extend_family(
    connection: Connection, family: TokenFamily, access_until: datetime, refresh_until: datetime
) -> bool:
    """Lock a living family and note when its newest tokens end; False where it has been revoked."""
    columns = token_families.c
    here = (columns.id == family.id) & (columns.organization_id == family.organization_id)
    later = {
        "access_until": case(
            (columns.access_until < access_until, literal(access_until, Instant)), else_=columns.access_until
        ),
        "refresh_until": refresh_until,
    }
    statement = update(token_families).where(here, columns.revoked_at.is_(None)).values(later)
    return connection.execute(statement).rowcount == 1


def revoke_family(
    connection: Connection, organization_id: str, family_id: str, now: datetime
) -> TokenFamily | None:
    """Revoke a living family; returns it as it is then, None where it was revoked before or is unknown."""
    here = (token_families.c.id == family_id) & (token_families.c.organization_id == organization_id)
    statement = (
        update(token_families).where(here, token_families.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    if connection.execute(statement).rowcount == 0:
        return None
    return find_family(connection, organization_id, family_id)


def add_refresh(connection: Connection, token: RefreshRecord) -> None:
    """Write a new refresh token."""
    row = {name: getattr(token, name) for name in RefreshRecord.__slots__} | {
        "access": token.access.as_json()
    }
    connection.execute(insert(refresh_tokens).values(row))


def find_refresh(connection: Connection, fingerprint: str) -> RefreshRecord | None:
    """The refresh token of that fingerprint. The caller compares organization and client."""
    row = connection.execute(_REFRESH, {"fingerprint": fingerprint}).first()
    if row is None:
        return None
    access = AccessRecord.from_json(row.access)
    return RefreshRecord(
        row.fingerprint, row.organization_id, row.family_id, row.expires_at, row.consumed_at, access
    )


def consume_refresh(connection: Connection, token: RefreshRecord, now: datetime) -> bool:
    """Use up a refresh token; True for exactly one of all who try."""
    here = (refresh_tokens.c.fingerprint == token.fingerprint) & (
        refresh_tokens.c.organization_id == token.organization_id
    )
    statement = (
        update(refresh_tokens).where(here, refresh_tokens.c.consumed_at.is_(None)).values(consumed_at=now)
    )
    return connection.execute(statement).rowcount == 1


def add_access(connection: Connection, fingerprint: str, claims: TokenClaims) -> None:
    """Write a new opaque access token."""
    row = {
        "fingerprint": fingerprint,
        "token_id": claims.token_id,
        "organization_id": claims.organization.id,
        "client_id": claims.client_id,
        "holder": str(claims.holder),
        "subject": claims.subject,
        "store": claims.store,
        "username": claims.username,
        "family_id": claims.family,
        "scope": sorted(claims.scope),
        "epoch": claims.epoch,
        "issued_at": claims.issued_at,
        "expires_at": claims.expires_at,
    }
    connection.execute(insert(access_tokens).values(row))


def find_access(connection: Connection, fingerprint: str) -> TokenClaims | None:
    """What the opaque access token of that fingerprint says."""
    row = connection.execute(_ACCESS, {"fingerprint": fingerprint}).first()
    organization = None if row is None else by_id(connection, row.organization_id)
    if row is None or organization is None:
        return None
    return TokenClaims(
        token_id=row.token_id,
        organization=organization,
        client_id=row.client_id,
        holder=TokenHolder(row.holder),
        subject=row.subject,
        scope=frozenset(row.scope),
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        epoch=row.epoch,
        store=row.store,
        username=row.username,
        family=row.family_id,
    )


def add_revocation(
    connection: Connection, revocation_id: str, organization_id: str, expires_at: datetime
) -> bool:
    """Refuse a token or a family until its time is over; False where that is noted already."""
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    row = {"id": revocation_id, "organization_id": organization_id, "expires_at": expires_at}
    statement = upsert(revocations).values(row).on_conflict_do_nothing(index_elements=["id"])
    return connection.execute(statement.returning(revocations.c.id)).first() is not None


def is_revoked(connection: Connection, token: str, family: str | None) -> bool:
    """Whether a token is revoked, or its family, if it has one; both as `add_revocation` names them."""
    return connection.execute(_REVOKED, {"token": token, "family": family}).first() is not None


def revocations_after(
    connection: Connection, now: datetime, after: str, at_most: int
) -> list[tuple[str, datetime]]:
    """The next revocations by id that still matter, with their ends."""
    query = select(revocations.c.id, revocations.c.expires_at).where(
        revocations.c.expires_at > now, revocations.c.id > after
    )
    rows = connection.execute(query.order_by(revocations.c.id).limit(at_most))
    return [(row.id, row.expires_at) for row in rows]


def find_revocation(connection: Connection, revocation_id: str) -> datetime | None:
    """When that revocation ends; None where there is none."""
    query = select(revocations.c.expires_at).where(revocations.c.id == revocation_id)
    found: datetime | None = connection.execute(query).scalar()
    return found


def remove_ended(connection: Connection, now: datetime, at_most: int) -> int:
    """Delete up to `at_most` rows of each kind whose time is over; returns how many went."""
    ends = (
        (access_tokens, access_tokens.c.fingerprint, access_tokens.c.expires_at < now),
        (revocations, revocations.c.id, revocations.c.expires_at < now),
        (
            token_families,
            token_families.c.id,
            (token_families.c.refresh_until < now) & (token_families.c.access_until < now),
        ),
    )
    removed = 0
    for table, key, is_over in ends:
        chunk = select(key).where(is_over).limit(at_most)
        removed += connection.execute(delete(table).where(key.in_(chunk))).rowcount
    return removed


def _family(row: Row[Any]) -> TokenFamily:
    return TokenFamily(
        id=row.id,
        organization_id=row.organization_id,
        client_id=row.client_id,
        subject_id=row.subject_id,
        store=row.store,
        username=row.username,
        groups=frozenset(row.groups),
        scope=frozenset(row.scope),
        password_checked_at=row.password_checked_at,
        access_until=row.access_until,
        refresh_until=row.refresh_until,
        revoked_at=row.revoked_at,
    )
