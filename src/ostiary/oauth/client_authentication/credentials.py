"""What a client presents (RFC 6749 §2.3.1): Basic, or `client_id` and `client_secret` in the body."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from pydantic import SecretStr

from ostiary.oauth.errors import InvalidClient, InvalidRequest

FAILED = "client authentication failed"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A client id with the secret that came with it; None where a public client only names itself.

    `verbatim` is the secret of Basic as it stood there, where form-decoding changes it: `curl -u` and
    most libraries do not encode, so a secret with `+` or `%` in it is right either way.
    """

    client_id: str
    secret: SecretStr | None
    verbatim: SecretStr | None = None


def presented(authorization: Sequence[str], parameters: Mapping[str, str]) -> ClientCredentials:
    """The one set of credentials in a request.

    `authorization` holds the values of every Authorization field, `parameters` the body's.

    Raises:
        InvalidRequest: more than one method was used (§2.3).
        InvalidClient: none was, or Basic is malformed.
    """
    client_id, secret = parameters.get("client_id"), parameters.get("client_secret")
    if len(authorization) > 1 or (authorization and secret is not None):
        raise InvalidRequest("the client must authenticate with one method only")
    if authorization:
        credentials = parse_basic(authorization[0])
        if client_id is not None and client_id != credentials.client_id:
            raise InvalidRequest("client_id is not the one in the Authorization header")
        return credentials
    if client_id is None:
        raise InvalidClient(FAILED, "no credentials")
    return ClientCredentials(client_id, None if secret is None else SecretStr(secret))


def parse_basic(authorization: str) -> ClientCredentials:
    """Basic credentials (RFC 7617 §2), each half form-encoded (RFC 6749 §2.3.1) or not.

    Raises:
        InvalidClient: another scheme, not base64, not UTF-8, or without a colon.
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("the authentication scheme of a client is Basic", "another scheme")
    try:
        text = base64.b64decode(encoded.strip(" "), validate=True).decode("utf-8")
        client_id, colon, secret = text.partition(":")
        decoded = [unquote_plus(half, encoding="utf-8", errors="strict") for half in (client_id, secret)]
    except ValueError as error:
        raise InvalidClient("Basic takes base64 of client_id:client_secret", "malformed Basic") from error
    if not colon:
        raise InvalidClient("Basic takes base64 of client_id:client_secret", "Basic without a colon")
    verbatim = None if decoded[1] == secret else SecretStr(secret)
    return ClientCredentials(decoded[0], SecretStr(decoded[1]), verbatim)
