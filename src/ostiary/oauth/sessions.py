"""Sessions: what somebody is logged in to, and how one ends. All end with `identity.sign_out`.

A session is a token family: a login through a client, with every refresh and access token that descends
from it. Tokens that a client got for somebody without a refresh token are in none, and end with all.
"""

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.identity import UnknownUser, check_standing
from ostiary.oauth.errors import UnknownSession
from ostiary.oauth.repository import sessions as repository
from ostiary.oauth.repository.sessions import Asked, Session
from ostiary.oauth.tokens.revocation import revoke_family


def sessions_of(connection: Connection, organization_id: str, subject_id: str, clock: Clock) -> Asked:
    """The sessions of somebody, to be listed or ended.

    Raises:
        UnknownUser: the organization has never seen that subject.
    """
    standing = check_standing(connection, organization_id, subject_id, clock)
    if standing.subject is None:
        raise UnknownUser(subject_id)
    return Asked(organization_id, subject_id, standing.signed_out_at, clock())


def list_sessions(connection: Connection, asked: Asked, offset: int, limit: int) -> list[Session]:
    """At most `limit` of them, the newest first, after the first `offset`."""
    return repository.page(connection, asked, offset, limit)


def end_session(connection: Connection, asked: Asked, session_id: str) -> None:
    """End one: its refresh tokens are refused at once, its access tokens within a second.

    Raises:
        UnknownSession: it is none of them.
    """
    if not repository.is_one_of(connection, asked, session_id):
        raise UnknownSession(session_id)
    revoke_family(connection, asked.organization_id, session_id, asked.now)
