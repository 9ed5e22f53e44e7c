"""POST /oauth2/revoke and /revoke (RFC 7009)."""

from starlette.requests import Request

from ostiary.foundation.answers import Empty
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.endpoints.answers import empty_answer, form_of, protocol
from ostiary.oauth.endpoints.requests import Endpoint, authenticate, receive
from ostiary.oauth.tokens.presented import belongs_to, recognize
from ostiary.oauth.tokens.presented import revoke as revoke_presented
from ostiary.permissions import OPEN, GuardedRouter

_FORM = form_of("token", "token_type_hint", "client_id", "client_secret")
PATHS = ("/oauth2/revoke", "/revoke")


def router(server: AuthorizationServer) -> GuardedRouter:
    """The revocation endpoint under both its names."""

    async def revoke(request: Request) -> Empty:
        """Revoke a token of the client that asks, with its family.

        200 whatever the token was (RFC 7009 §2.2): nobody learns what another client's token is.
        """
        form = await receive(request, Endpoint.REVOCATION)
        by = await authenticate(server, request, form)
        token = form.parameters["token"]
        found = await server.database.glance(
            lambda connection: recognize(connection, server.box, token, server.public_url)
        )
        if found is not None and belongs_to(found, by.organization.id, by.client.client_id):
            await server.database.write(
                lambda connection: revoke_presented(connection, found, server.clock()), brief=True
            )
        return empty_answer()

    guarded = GuardedRouter(tags=["OAuth 2"])
    for path in PATHS:
        guarded.add_plain(
            path, protocol(revoke), methods=["POST"], access=OPEN, refuses=(400, 401), openapi_extra=_FORM
        )
    return guarded
