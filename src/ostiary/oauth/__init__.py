"""The authorization server: clients, scopes, grants, tokens and signing keys (RFC 6749, RFC 9068).

OAuth 2 and OpenID Connect are one role. Functions of a connection are steps of the caller's
transaction. Endpoints are in `endpoints/`, for the composition root alone.
"""

from ostiary.oauth.authorization_server import AuthorizationServer, authorization_server
from ostiary.oauth.client_authentication import ClientCredentials
from ostiary.oauth.clients import (
    PutClient,
    check_client,
    check_spec,
    clients_after,
    clients_asking,
    delete_client,
    find_client,
    list_clients,
    put_client,
)
from ostiary.oauth.errors import BadField, ClientIdTaken, OAuthError, UnknownClient
from ostiary.oauth.keys import Keys, PublicKey, find_public_key, public_keys
from ostiary.oauth.model import (
    Client,
    ClientSpec,
    GrantType,
    ScopeSpec,
    TokenClaims,
    TokenFormat,
    TokenHolder,
    Validity,
    is_reserved,
    is_scope_token,
)
from ostiary.oauth.powers import check_power_over_client
from ostiary.oauth.repository.personal_data import PERSONAL_DATA
from ostiary.oauth.scopes import check_spec as check_scope
from ostiary.oauth.scopes import delete_scope, list_scopes, put_scope, registered_scopes
from ostiary.oauth.settings import TokenSettings
from ostiary.oauth.tokens.folding import fold_old_minimums
from ostiary.oauth.tokens.issuing import token_fingerprint
from ostiary.oauth.tokens.revocation import (
    find_revocation,
    forget_ended,
    revocations_after,
)
from ostiary.oauth.tokens.verification import (
    JudgedToken,
    introspect_opaque,
    judge_access_token,
    judge_opaque,
)

__all__ = [
    "PERSONAL_DATA",
    "AuthorizationServer",
    "BadField",
    "Client",
    "ClientCredentials",
    "ClientIdTaken",
    "ClientSpec",
    "GrantType",
    "JudgedToken",
    "Keys",
    "OAuthError",
    "PublicKey",
    "PutClient",
    "ScopeSpec",
    "TokenClaims",
    "TokenFormat",
    "TokenHolder",
    "TokenSettings",
    "UnknownClient",
    "Validity",
    "authorization_server",
    "check_client",
    "check_power_over_client",
    "check_scope",
    "check_spec",
    "clients_after",
    "clients_asking",
    "delete_client",
    "delete_scope",
    "find_client",
    "find_public_key",
    "find_revocation",
    "fold_old_minimums",
    "forget_ended",
    "introspect_opaque",
    "is_reserved",
    "is_scope_token",
    "judge_access_token",
    "judge_opaque",
    "list_clients",
    "list_scopes",
    "public_keys",
    "put_client",
    "put_scope",
    "registered_scopes",
    "revocations_after",
    "token_fingerprint",
]
