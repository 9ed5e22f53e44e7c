"""The authorization server put together: the parts its endpoints use (RFC 6749 §1.1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from ostiary.foundation.clock import Clock, utc_now
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.identity import Assertions, Authentication
from ostiary.oauth.client_authentication import ClientAuthenticator
from ostiary.oauth.grants import GRANTS, Grant, GrantParts
from ostiary.oauth.keys import Acknowledged, Keys
from ostiary.oauth.settings import TokenSettings
from ostiary.oauth.tokens.issuing import TokenIssuer


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """What endpoints are given. `public_url` is the setting; nothing comes from the Host header."""

    database: Database
    box: SecretBox
    keys: Keys
    clients: ClientAuthenticator
    grants: Mapping[str, Grant]
    settings: TokenSettings
    public_url: str
    clock: Clock


def authorization_server(
    database: Database,
    box: SecretBox,
    authentication: Authentication,
    settings: TokenSettings,
    public_url: str,
    *,
    acknowledged: Acknowledged,
    clock: Clock = utc_now,
) -> AuthorizationServer:
    """Wire the parts. `acknowledged` says whether every live gateway node knows a key already."""
    keys = Keys(box, settings, acknowledged)
    issuer = TokenIssuer(box, keys, settings, public_url)
    assertions = Assertions(database, clock)
    parts = GrantParts(database, box, issuer, authentication, assertions, public_url, settings, clock)
    return AuthorizationServer(
        database=database,
        box=box,
        keys=keys,
        clients=ClientAuthenticator(database, box),
        grants={name: build(parts) for name, build in GRANTS.items()},
        settings=settings,
        public_url=public_url,
        clock=clock,
    )
