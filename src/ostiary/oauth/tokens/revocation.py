"""Revoke tokens and families: what RFC 7009 §2 asks for, and what replay brings about.

Revoking either half of an answer revokes its family: the refresh token, its successors and every
access token among them, JWTs included, at every gateway within a second.
"""

from datetime import datetime

from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.oauth.model import TokenClaims, TokenHolder
from ostiary.oauth.repository import tokens as repository


def revoke_family(connection: Connection, organization_id: str, family_id: str, now: datetime) -> bool:
    """Revoke a family; False where it was revoked before or is unknown."""
    family = repository.revoke_family(connection, organization_id, family_id, now)
    if family is None:
        return False
    if family.access_until > now:
        _refuse(connection, f"family:{family.id}", organization_id, family.access_until, family.subject_id)
    return True


def revoke_token(connection: Connection, claims: TokenClaims, now: datetime) -> None:
    """Revoke an access token, with its family where it has one."""
    if claims.family is not None:
        revoke_family(connection, claims.organization.id, claims.family, now)
    elif claims.expires_at > now:
        whose = claims.subject if claims.holder is TokenHolder.APPLICATION_USER else None
        _refuse(connection, f"token:{claims.token_id}", claims.organization.id, claims.expires_at, whose)


def revocations_after(
    connection: Connection, now: datetime, after: str, at_most: int
) -> list[tuple[str, datetime]]:
    """What is refused although its time is not over: `token:<jti>` or `family:<id>`, and until when.

    By identifier, those that follow `after`.
    """
    return repository.revocations_after(connection, now, after, at_most)


def find_revocation(connection: Connection, revocation_id: str) -> datetime | None:
    """Until when that token or family is refused; None where it is not revoked."""
    return repository.find_revocation(connection, revocation_id)


def forget_ended(connection: Connection, now: datetime, at_most: int = 500) -> int:
    """Delete rows whose time is over, up to `at_most` of each kind; returns how many went."""
    return repository.remove_ended(connection, now, at_most)


def _refuse(
    connection: Connection, revocation_id: str, organization_id: str, until: datetime, whose: str | None
) -> None:
    if repository.add_revocation(connection, revocation_id, organization_id, until):
        record(connection, Event("revocation", organization_id, revocation_id))
        audit.note(connection, organization_id, "token", revocation_id, {}, {}, verb="revoked", whose=whose)
