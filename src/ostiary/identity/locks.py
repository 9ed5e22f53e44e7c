"""Locks: who is locked out of an organization after too many wrong passwords, and lifting that.

Only people whom a store knows are named. What else was typed is a number: people type passwords into the
field for the name, and nobody is told what they were.
"""

from datetime import datetime

from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.identity.errors import UnknownUser
from ostiary.identity.lockout import identity_key
from ostiary.identity.repository import login_attempts, subjects
from ostiary.identity.repository.login_attempts import Lock

__all__ = ["Lock", "count_locks", "lift_locks", "list_locks"]


def list_locks(
    connection: Connection, organization_id: str, now: datetime, offset: int, limit: int
) -> list[Lock]:
    """At most `limit` locks of people after the first `offset`, that which lasts longest first."""
    return login_attempts.locks(connection, organization_id, now, offset, limit)


def count_locks(connection: Connection, organization_id: str, now: datetime) -> tuple[int, int]:
    """How many locks of people there are, and how many names that nobody has are locked."""
    return login_attempts.count_locks(connection, organization_id, now)


def lift_locks(connection: Connection, organization_id: str, subject_id: str) -> None:
    """End every lock of somebody, and begin the counting anew.

    Raises:
        UnknownUser: there is no such subject in the organization.
    """
    names = subjects.names(connection, organization_id, subject_id)
    if names is None:
        raise UnknownUser(subject_id)
    store, known = names
    keys = [identity_key(store, name) for name in known]
    if login_attempts.forget_person(connection, organization_id, subject_id, keys):
        audit.note(connection, organization_id, "user", subject_id, {}, {}, verb="unlocked")
