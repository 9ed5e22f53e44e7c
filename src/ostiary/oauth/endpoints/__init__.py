"""The authorization server's URLs: protocol endpoints, and the internal REST API of clients, scopes, keys."""

from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.endpoints import (
    bound_scopes,
    clients,
    introspection,
    jwks,
    keys,
    metadata,
    revocation,
    scopes,
    sessions,
    token,
)
from ostiary.permissions import GuardedRouter

__all__ = ["routers"]


def routers(server: AuthorizationServer) -> list[GuardedRouter]:
    """Every route of the slice."""
    return [
        build(server)
        for build in (
            token.router,
            revocation.router,
            introspection.router,
            jwks.router,
            metadata.router,
            clients.router,
            scopes.router,
            bound_scopes.router,
            keys.router,
            sessions.router,
        )
    ]
