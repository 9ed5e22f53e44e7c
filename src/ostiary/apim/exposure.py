"""How an API shows itself to callers: what credentials it takes, and what browsers are told (CORS).

The gateway answers preflights and writes the headers; here is what a publisher may say about it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from ostiary.apim.errors import Invalid
from ostiary.apim.paths import METHODS

_MOST = 50
_ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110 §5.6.2


class AuthType(StrEnum):
    """Whose token a resource takes; `none` asks for no credential."""

    ANY = "any"
    APPLICATION = "application"
    USER = "user"
    NONE = "none"


class CredentialKind(StrEnum):
    """A kind of credential an API may take."""

    OAUTH2 = "oauth2"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class CORS:
    """What browsers are told about calls from other origins."""

    enabled: bool = True
    origins: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
    headers: tuple[str, ...] = (
        "authorization",
        "Access-Control-Allow-Origin",
        "Content-Type",
        "SOAPAction",
        "apikey",
        "Internal-Key",
    )
    credentials: bool = False


USUAL_CORS = CORS()
"""What an API has that says nothing."""


def check_security(security: tuple[CredentialKind, ...]) -> None:
    """Check the kinds of credentials an API takes.

    Raises:
        Invalid: none, or one twice.
    """
    if not security or len(set(security)) < len(security):
        found = ", ".join(security) or "none"
        raise Invalid("security", found, f"one or more of {', '.join(CredentialKind)}, each once")


def check_cors(cors: CORS) -> None:
    """Check what browsers are to be told.

    Raises:
        Invalid: a value that cannot be, or credentials for every origin there is.
    """
    for name in ("origins", "methods", "headers"):
        values = getattr(cors, name)
        if len(values) > _MOST or len(set(values)) < len(values):
            raise Invalid(f"cors.{name}", f"{len(values)} values", f"at most {_MOST}, each once")
    for origin in cors.origins:
        parse_origin(origin)
    for method in cors.methods:
        if method not in METHODS:
            raise Invalid("cors.methods", repr(method), f"one of {', '.join(METHODS)}")
    for header in cors.headers:
        if not _HEADER.fullmatch(header):
            raise Invalid("cors.headers", repr(header), "the name of a header")
    if cors.credentials and "*" in cors.origins:
        raise Invalid("cors.credentials", "true", "origins by name where credentials are allowed, not '*'")


def parse_origin(text: str) -> str:
    """Check an origin as browsers write it (RFC 6454 §6.1), or `*`.

    Raises:
        Invalid: it is neither.
    """
    if text != "*" and not _ORIGIN.fullmatch(text):
        expected = "'*' or an origin such as https://shop.example: in lower case, without path or slash"
        raise Invalid("cors.origins", repr(text), expected)
    return text
