"""Authorization server metadata (RFC 8414), in both forms of its URL.

§3 inserts the well-known part before the issuer's path; many clients append it instead. It lists
what exists and nothing else. The issuer is the setting's, never the Host header's.
"""

from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Shown
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.endpoints.organization import organization_of
from ostiary.oauth.grants import GRANTS
from ostiary.organizations import Organization, issuer_of
from ostiary.permissions import OPEN, GuardedRouter

WELL_KNOWN = "/.well-known/oauth-authorization-server"
_CONFIDENTIAL = ["client_secret_basic", "client_secret_post"]


class MetadataDocument(TypedDict):
    """What an authorization server can do, and where (RFC 8414 §2)."""

    issuer: str
    token_endpoint: str
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]


def metadata_of(organization: Organization, public_url: str) -> MetadataDocument:
    """The metadata document of an organization (RFC 8414 §2)."""
    issuer = issuer_of(public_url, organization)
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth2/token",
        "token_endpoint_auth_methods_supported": [*_CONFIDENTIAL, "none"],
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "revocation_endpoint_auth_methods_supported": [*_CONFIDENTIAL, "none"],
        "introspection_endpoint": f"{issuer}/oauth2/introspect",
        "introspection_endpoint_auth_methods_supported": _CONFIDENTIAL,
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "grant_types_supported": sorted(GRANTS),
        "response_types_supported": [],  # REQUIRED by §2; there is no authorization endpoint yet
    }


def router(server: AuthorizationServer) -> GuardedRouter:
    """The metadata under `/.well-known/…[/t/{organization}]` and `/t/{organization}/.well-known/…`."""

    async def metadata(request: Request) -> Shown[MetadataDocument]:
        """Describe the organization's authorization server (RFC 8414 §3.2)."""
        organization = await organization_of(server, request)
        return Shown(metadata_of(organization, server.public_url))

    guarded = GuardedRouter(tags=["OAuth 2"], per_organization=False)
    for path in (WELL_KNOWN, WELL_KNOWN + "/t/{organization}", "/t/{organization}" + WELL_KNOWN):
        guarded.add(path, metadata, methods=["GET"], access=OPEN, refuses=(404,))
    return guarded
