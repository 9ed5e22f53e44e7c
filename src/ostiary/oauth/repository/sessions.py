"""The token families of a subject that are not over, in SQL."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, or_, select

from ostiary.oauth.model import Scope
from ostiary.oauth.tables import clients, refresh_tokens, token_families

_OF = token_families.c


@dataclass(frozen=True, slots=True)
class Session:
    """A login through a client, from which tokens still come or are still good."""

    id: str
    client_id: str
    client_name: str
    username: str
    scope: Scope
    began_at: datetime
    last_used_at: datetime
    """When it was last refreshed, or else when it began."""
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose sessions are meant, and when: those that began after `since`, where something was ended then."""

    organization_id: str
    subject_id: str
    since: datetime | None
    now: datetime

    def living(self) -> ColumnElement[bool]:
        """The families that are neither over nor ended."""
        mine = (_OF.organization_id == self.organization_id) & (_OF.subject_id == self.subject_id)
        if self.since is not None:
            mine &= _OF.password_checked_at > self.since
        lasts = or_(_OF.refresh_until > self.now, _OF.access_until > self.now)
        return mine & _OF.revoked_at.is_(None) & lasts


def page(connection: Connection, asked: Asked, offset: int, limit: int) -> list[Session]:
    """At most `limit` sessions, the newest first, after the first `offset` of them."""
    used_at = (
        select(func.max(refresh_tokens.c.consumed_at))
        .where(refresh_tokens.c.family_id == _OF.id)
        .scalar_subquery()
        .label("used_at")
    )
    query = (
        select(token_families, used_at, clients.c.name)
        .outerjoin(
            clients,
            (clients.c.client_id == _OF.client_id) & (clients.c.organization_id == _OF.organization_id),
        )
        .where(asked.living())
        .order_by(_OF.password_checked_at.desc(), _OF.id)
        .offset(offset)
        .limit(limit)
    )
    return [
        Session(
            id=row.id,
            client_id=row.client_id,
            client_name=row.name or row.client_id,
            username=row.username,
            scope=frozenset(row.scope),
            began_at=row.password_checked_at,
            last_used_at=row.used_at or row.password_checked_at,
            ends_at=max(row.refresh_until, row.access_until),
        )
        for row in connection.execute(query)
    ]


def is_one_of(connection: Connection, asked: Asked, session_id: str) -> bool:
    """Whether that is one of these sessions."""
    here = asked.living() & (_OF.id == session_id)
    return connection.execute(select(_OF.id).where(here)).first() is not None
