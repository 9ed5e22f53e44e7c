"""Endpoints of the permissions slice."""

from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.permissions.endpoints import audit_log
from ostiary.permissions.router import GuardedRouter


def routers(database: Database, box: SecretBox) -> tuple[GuardedRouter, ...]:
    """Every router of the slice."""
    return (audit_log.router(database, box),)
