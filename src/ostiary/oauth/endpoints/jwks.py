"""GET /oauth2/jwks and /jwks: the organization's public keys (RFC 7517 §5)."""

from datetime import timedelta

from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Shown
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.endpoints.organization import organization_of
from ostiary.oauth.keys import published_keys
from ostiary.permissions import OPEN, GuardedRouter

PATHS = ("/oauth2/jwks", "/jwks")


class PublicKeysDocument(TypedDict):
    """Public keys (RFC 7517 §5)."""

    keys: list[dict[str, str]]


def router(server: AuthorizationServer) -> GuardedRouter:
    """The key set under both its names."""

    async def jwks(request: Request) -> Shown[PublicKeysDocument]:
        """Publish announced, active and retiring keys; a first key is made before anybody caches none."""
        organization = await organization_of(server, request)
        now = server.clock()
        keys = await server.database.read(lambda connection: published_keys(connection, organization.id, now))
        if not keys:
            await server.database.write(
                lambda connection: server.keys.signing_key(connection, organization.id, now)
            )
            keys = await server.database.read(
                lambda connection: published_keys(connection, organization.id, now)
            )
        max_age = server.settings.jwks_max_age // timedelta(seconds=1)
        headers = {"Cache-Control": f"public, max-age={max_age}"}
        return Shown({"keys": [dict(key) for key in keys]}, headers)

    guarded = GuardedRouter(tags=["OAuth 2"])
    for path in PATHS:
        guarded.add(path, jwks, methods=["GET"], access=OPEN, refuses=(404,))
    return guarded
