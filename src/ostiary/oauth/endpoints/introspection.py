"""POST /oauth2/introspect (RFC 7662).

For confidential clients only (§2.1), and only about tokens of their own organization: whoever holds
an access token may learn what it says, because a resource server is a client too; a refresh token
is its own client's affair. Everything else is `{"active": false}` and nothing more (§2.2).
"""

from typing import Literal, NotRequired, cast

from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.identity import display_name
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.client_authentication import AuthenticatedClient
from ostiary.oauth.endpoints.answers import Uncached, form_of, protocol
from ostiary.oauth.endpoints.requests import Endpoint, authenticate, receive
from ostiary.oauth.errors import InvalidClient
from ostiary.oauth.model import TokenClaims, scope_text
from ostiary.oauth.tokens.presented import PresentedRefreshToken, belongs_to, recognize
from ostiary.oauth.tokens.verification import JudgedToken, judge
from ostiary.organizations import Organization, issuer_of
from ostiary.permissions import OPEN, GuardedRouter

_FORM = form_of("token", "token_type_hint", "client_id", "client_secret")


class IntrospectionDocument(TypedDict):
    """What a token says while it is good, and that it is not otherwise (RFC 7662 §2.2)."""

    active: bool
    token_type: NotRequired[Literal["Bearer"]]
    iss: NotRequired[str]
    aud: NotRequired[str | list[str]]
    sub: NotRequired[str]
    client_id: NotRequired[str]
    scope: NotRequired[str]
    iat: NotRequired[int]
    exp: NotRequired[int]
    jti: NotRequired[str]
    aut: NotRequired[str]
    org: NotRequired[str]
    username: NotRequired[str]


_INACTIVE: IntrospectionDocument = {"active": False}


def router(server: AuthorizationServer) -> GuardedRouter:
    """The introspection endpoint."""

    async def introspect(request: Request) -> Uncached[IntrospectionDocument]:
        """Say whether a token is good now, and what it says (RFC 7662 §2.2)."""
        form = await receive(request, Endpoint.INTROSPECTION)
        by = await authenticate(server, request, form)
        if by.client.is_public:
            raise InvalidClient("introspection is for confidential clients")
        token = form.parameters["token"]
        found = await server.database.recall(
            ("introspection", server.box.fingerprint(token, "introspection:token")),
            lambda connection: _look_up(connection, server, token),
        )
        return Uncached(_about(found, server, by))

    guarded = GuardedRouter(tags=["OAuth 2"])
    guarded.add_plain(
        "/oauth2/introspect",
        protocol(introspect),
        methods=["POST"],
        access=OPEN,
        refuses=(400, 401),
        openapi_extra=_FORM,
    )
    return guarded


def _look_up(
    connection: Connection, server: AuthorizationServer, token: str
) -> JudgedToken | PresentedRefreshToken | None:
    """All that the database says of this text, whoever asks and whenever."""
    found = recognize(connection, server.box, token, server.public_url)
    return judge(connection, found) if isinstance(found, TokenClaims) else found


def _about(
    found: JudgedToken | PresentedRefreshToken | None, server: AuthorizationServer, by: AuthenticatedClient
) -> IntrospectionDocument:
    if found is None or not found.is_good(server.clock()):
        return _INACTIVE
    if isinstance(found, PresentedRefreshToken):
        if not belongs_to(found, by.organization.id, by.client.client_id):
            return _INACTIVE
        return _refresh_token(found, by.organization, server.public_url)
    if found.claims.organization.id != by.organization.id:
        return _INACTIVE
    return _access_token(found.claims, server.public_url)


def _access_token(claims: TokenClaims, public_url: str) -> IntrospectionDocument:
    wire = claims.as_wire(public_url)
    names = ("iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti", "aut", "org")
    body = {"active": True, "token_type": "Bearer"} | {name: wire[name] for name in names}
    who = claims.display_name()
    return cast(IntrospectionDocument, body if who is None else body | {"username": who})


def _refresh_token(
    found: PresentedRefreshToken, organization: Organization, public_url: str
) -> IntrospectionDocument:
    family = found.family
    return {
        "active": True,
        "iss": issuer_of(public_url, organization),
        "sub": family.subject_id,
        "client_id": family.client_id,
        "scope": scope_text(family.scope),
        "exp": int(found.token.expires_at.timestamp()),
        "username": display_name(family.store, family.username, organization.name),
    }
