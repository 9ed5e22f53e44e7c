"""The internal REST API of API management, /api/apim/v1. Imported by the app alone."""

from ostiary.apim.endpoints import api_keys, apis, applications, deny_policies, plans, subscriptions, usage
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.secrets import SecretBox
from ostiary.permissions import GuardedRouter

__all__ = ["routers"]


def routers(
    database: Database, box: SecretBox, policy: OutboundPolicy, clock: Clock
) -> tuple[GuardedRouter, ...]:
    """Every route of the slice."""
    return (
        apis.router(database, box, policy),
        plans.router(database),
        applications.router(database, box, clock),
        api_keys.router(database, clock),
        subscriptions.router(database),
        usage.router(database, clock),
        deny_policies.router(database),
    )
