"""What the authorization server refuses with: the registered codes, and the errors of its use cases.

`OAuthError` carries the client's text (`description`) and the operator's (`detail`) apart.
The others know no HTTP; their endpoints map them.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar


class OAuthError(Exception):
    """A refusal in the words of RFC 6749 §5.2. One subclass per registered code."""

    error: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(self, description: str, detail: str | None = None) -> None:
        super().__init__(detail or description)
        self.description = description
        self.detail = detail

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields this refusal needs besides those of every answer."""
        return {}


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed (RFC 6749 §5.2)."""

    error = "invalid_request"


class InvalidClient(OAuthError):
    """Client authentication failed (RFC 6749 §5.2)."""

    error = "invalid_client"
    status = 401

    @property
    def headers(self) -> Mapping[str, str]:
        """The scheme the client may answer with (RFC 9110 §15.5.2, RFC 7617 §2)."""
        return {"WWW-Authenticate": 'Basic realm="ostiary", charset="UTF-8"'}


class InvalidGrant(OAuthError):
    """The password, refresh token or other grant is not good (RFC 6749 §5.2)."""

    error = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """The client is not registered for this grant type (RFC 6749 §5.2)."""

    error = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """There is no such grant type here (RFC 6749 §5.2)."""

    error = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """The scope is malformed, or a strict client may not have it (RFC 6749 §5.2)."""

    error = "invalid_scope"


class TemporarilyUnavailable(OAuthError):
    """Something we depend on cannot answer now; the same request may succeed later."""

    error = "temporarily_unavailable"
    status = 503

    def __init__(self, description: str, retry_after: timedelta, detail: str | None = None) -> None:
        super().__init__(description, detail)
        self.retry_after = retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        """When to come back, in whole seconds (RFC 9110 §10.2.3)."""
        return {"Retry-After": str(max(1, -(-self.retry_after // timedelta(seconds=1))))}


class BadField(Exception):
    """What somebody wants to register is wrong in `field`; `expected` says what would be right."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field
        self.expected = expected


class ClientIdTaken(BadField):
    """Client ids are unique in the installation, and this one belongs to another organization."""

    def __init__(self, client_id: str) -> None:
        super().__init__("client_id", f"{client_id} is taken in this installation; choose another")


class UnknownClient(Exception):
    """The organization has no such client."""


class UnknownScope(Exception):
    """The organization has no such scope."""


class UnknownSession(Exception):
    """The user has no such session."""
