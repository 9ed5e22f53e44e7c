"""Sessions: what somebody is logged in to, and how that ends.

A session is a token family: a login through a client, with every refresh and access token that descends
from it. Tokens that a client got for somebody without a refresh token are in none, and end with all.
"""

from datetime import datetime

from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.clock import Clock
from ostiary.identity import UnknownUser, check_standing
from ostiary.oauth.errors import UnknownSession
from ostiary.oauth.repository import sessions as repository
from ostiary.oauth.repository.sessions import Session
from ostiary.oauth.tokens.revocation import revoke_family
from ostiary.organizations import narrow


def list_sessions(
    connection: Connection, organization_id: str, subject_id: str, now: datetime, offset: int, limit: int
) -> list[Session]:
    """At most `limit` sessions of the subject, the newest first, after the first `offset` of them."""
    return repository.page(connection, organization_id, subject_id, now, offset, limit)


def end_session(
    connection: Connection, organization_id: str, subject_id: str, session_id: str, now: datetime
) -> None:
    """End one: its refresh tokens are refused at once, its access tokens within a second.

    Raises:
        UnknownSession: the subject has none of that identifier.
    """
    if not repository.is_one_of(connection, organization_id, subject_id, session_id, now):
        raise UnknownSession(session_id)
    revoke_family(connection, organization_id, session_id, now)


def end_sessions(connection: Connection, organization_id: str, subject_id: str, now: datetime) -> None:
    """End all, and refuse every access token that is out for the subject."""
    ended = repository.end_all(connection, organization_id, subject_id, now)
    narrow(connection, organization_id, "subject", subject_id)
    audit.note(connection, organization_id, "user", subject_id, {}, {"sessions": ended}, verb="signed_out")


def check_known(connection: Connection, organization_id: str, subject_id: str, clock: Clock) -> None:
    """Refuse a subject that the organization has never seen.

    Raises:
        UnknownUser: it has not.
    """
    if check_standing(connection, organization_id, subject_id, clock).subject is None:
        raise UnknownUser(subject_id)
