"""What gateway nodes ask the control plane, and the keys backends fetch. Imported by the app alone."""

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.gateway.endpoints.introspect import introspect_router
from ostiary.gateway.endpoints.jwks import jwks_router
from ostiary.gateway.endpoints.node_keys import node_keys_router
from ostiary.gateway.endpoints.plan import plan_router
from ostiary.gateway.feed import PlanFeed
from ostiary.gateway.settings import GatewaySettings
from ostiary.permissions import GuardedRouter


def gateway_routers(
    database: Database, box: SecretBox, settings: GatewaySettings, public_url: str, clock: Clock
) -> tuple[GuardedRouter, ...]:
    """Return every router of the gateway slice."""
    return (
        plan_router(PlanFeed(database, public_url, clock)),
        introspect_router(database, box, public_url, clock),
        node_keys_router(database, clock),
        jwks_router(database, settings),
    )


__all__ = ["gateway_routers"]
