"""What gateway nodes ask the control plane, and the keys backends fetch. Imported by the app alone."""

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.gateway.endpoints import (
    claims,
    counts,
    enrol,
    explanations,
    gateway_nodes,
    introspect,
    jwks,
    node_keys,
    plan,
    usage,
)
from ostiary.gateway.endpoints.node_listener import NodeListener
from ostiary.gateway.feed import PlanFeed
from ostiary.gateway.settings import GatewaySettings
from ostiary.permissions import GuardedRouter

__all__ = ["NodeListener", "routers"]


def routers(
    database: Database, box: SecretBox, settings: GatewaySettings, public_url: str, clock: Clock
) -> tuple[GuardedRouter, ...]:
    """Every route of the slice."""
    return (
        plan.router(PlanFeed(database, box, public_url, clock)),
        introspect.router(database, box, public_url, clock),
        claims.router(database),
        node_keys.router(database, settings, clock),
        jwks.router(database, settings),
        enrol.router(database, box, settings.node_certificate_lifetime, clock),
        gateway_nodes.router(database, box, clock),
        *explanations.routers(database, clock),
        usage.router(database, clock),
        counts.router(database, clock),
    )
