"""POST /oauth2/token and /token (RFC 6749 §3.2)."""

from collections.abc import Callable
from typing import Literal, NotRequired, cast

from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.client_authentication import AuthenticatedClient
from ostiary.oauth.endpoints.answers import Uncached, form_of, protocol
from ostiary.oauth.endpoints.requests import Endpoint, ReceivedForm, authenticate, receive
from ostiary.oauth.errors import InvalidRequest, InvalidScope, UnauthorizedClient, UnsupportedGrantType
from ostiary.oauth.grants import GRANTS, GrantRequest
from ostiary.oauth.scopes import parse_scope
from ostiary.permissions import OPEN, GuardedRouter

PATHS = ("/oauth2/token", "/token")


def grant_type_is_present(form: ReceivedForm, _by: AuthenticatedClient) -> None:
    """RFC 6749 §4: REQUIRED with every grant."""
    if "grant_type" not in form.parameters:
        raise InvalidRequest("the parameter grant_type is missing")


def grant_type_is_known(form: ReceivedForm, _by: AuthenticatedClient) -> None:
    """RFC 6749 §5.2: unsupported_grant_type."""
    if form.parameters["grant_type"] not in GRANTS:
        raise UnsupportedGrantType(f"the grant types here are {', '.join(sorted(GRANTS))}")


def client_is_registered_for_it(form: ReceivedForm, by: AuthenticatedClient) -> None:
    """RFC 6749 §5.2: unauthorized_client."""
    if form.parameters["grant_type"] not in by.client.grant_types:
        raise UnauthorizedClient("this client is not registered for this grant type")


def scope_is_well_formed(form: ReceivedForm, _by: AuthenticatedClient) -> None:
    """RFC 6749 §3.3."""
    try:
        parse_scope(form.parameters.get("scope"))
    except ValueError as error:
        raise InvalidScope(str(error)) from error


CHECKS: tuple[Callable[[ReceivedForm, AuthenticatedClient], None], ...] = (
    # in order, after client authentication; before it: `requests.CHECKS`
    grant_type_is_present,  # RFC 6749 §4
    grant_type_is_known,  # RFC 6749 §5.2
    client_is_registered_for_it,  # RFC 6749 §5.2
    scope_is_well_formed,  # RFC 6749 §3.3
)


class TokenDocument(TypedDict):
    """An access token (RFC 6749 §5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str
    refresh_token: NotRequired[str]


_FORM = form_of(
    "grant_type", "scope", "username", "password", "refresh_token", "assertion", "client_id", "client_secret"
)


def router(server: AuthorizationServer) -> GuardedRouter:
    """The token endpoint under both its names."""

    async def token(request: Request) -> Uncached[TokenDocument]:
        """Exchange a grant for an access token (RFC 6749 §3.2)."""
        form = await receive(request, Endpoint.TOKEN)
        by = await authenticate(server, request, form)
        for check in CHECKS:
            check(form, by)
        grant_type = form.parameters["grant_type"]
        request.state.grant_type = grant_type
        scope = parse_scope(form.parameters.get("scope"))
        grant_request = GrantRequest(grant_type, by.client, by.organization, form.parameters, scope)
        response = await server.grants[grant_type].exchange(grant_request)
        return Uncached(cast(TokenDocument, response.as_wire()))

    guarded = GuardedRouter(tags=["OAuth 2"])
    for path in PATHS:
        guarded.add_plain(
            path, protocol(token), methods=["POST"], access=OPEN, refuses=(400, 401, 503), openapi_extra=_FORM
        )
    return guarded
