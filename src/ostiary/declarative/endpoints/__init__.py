"""What `ostiary apply` and `ostiary export` call. Imported by the app alone."""

from ostiary.declarative.apply import Applying
from ostiary.declarative.endpoints import apply, export
from ostiary.declarative.writing import Tools
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.secrets import SecretBox
from ostiary.identity import PasswordHasher
from ostiary.permissions import GuardedRouter

__all__ = ["routers"]


def routers(
    database: Database, box: SecretBox, hasher: PasswordHasher, policy: OutboundPolicy, clock: Clock
) -> tuple[GuardedRouter, ...]:
    """Every route of the slice."""
    return apply.router(Applying(database, hasher, Tools(box, policy, clock))), export.router(database)
