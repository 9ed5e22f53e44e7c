"""Client authentication (RFC 6749 §2.3): who the client is, at every endpoint that asks.

`credentials` reads what was presented; `authenticator` decides. Another method is a file beside
them and a line in `credentials.presented`.
"""

from ostiary.oauth.client_authentication.authenticator import AuthenticatedClient, ClientAuthenticator
from ostiary.oauth.client_authentication.credentials import ClientCredentials, parse_basic, presented

__all__ = ["AuthenticatedClient", "ClientAuthenticator", "ClientCredentials", "parse_basic", "presented"]
