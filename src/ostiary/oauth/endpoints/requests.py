"""Requests to protocol endpoints: the checks before anybody is authenticated, as a table.

One table for all, so that one reading audits them; the columns say where a check applies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from urllib.parse import parse_qsl

from starlette.requests import Request

from ostiary.foundation.web import MalformedForm, read_form
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.client_authentication import AuthenticatedClient, presented
from ostiary.oauth.errors import InvalidRequest

_SECRETS = frozenset(
    {"client_secret", "password", "refresh_token", "token", "assertion", "client_assertion", "code"}
)
_LONGEST: Mapping[str, int] = {
    "grant_type": 200,
    "client_id": 200,
    "client_secret": 1_000,
    "username": 1_000,
    "password": 4_096,
    "scope": 4_000,
    "refresh_token": 1_000,
    "assertion": 65_536,
    "token": 8_192,
    "token_type_hint": 200,
    "validity_period": 20,
}


class Endpoint(Flag):
    """The protocol endpoints that take a form from a client."""

    TOKEN = auto()
    REVOCATION = auto()
    INTROSPECTION = auto()


@dataclass(frozen=True, slots=True)
class ReceivedForm:
    """A form as it came in. Its parameters are there once each, UTF-8 and not empty (RFC 6749 §3.2)."""

    query: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule and the endpoints it holds at; `holds` raises what the client is told."""

    holds: Callable[[ReceivedForm], None]
    at: Endpoint


def no_secret_in_the_query(form: ReceivedForm) -> None:
    """RFC 6749 §2.3.1: credentials are never in the URI, where every log would keep them."""
    if not form.query:
        return
    names = {name for name, _ in parse_qsl(form.query[:8_192], keep_blank_values=True)}
    found = sorted(names & _SECRETS)
    if found:
        raise InvalidRequest(f"{found[0]} must be in the body, not in the URL")


def no_nul(form: ReceivedForm) -> None:
    """RFC 6749 appendix A: no value has control characters. A password's are identity's to refuse."""
    bad = [
        name
        for name, value in form.parameters.items()
        if "\0" in name or ("\0" in value and name != "password")
    ]
    if bad:
        raise InvalidRequest("a parameter contains a NUL character")


def no_value_is_huge(form: ReceivedForm) -> None:
    """A length no honest value has."""
    for name, value in form.parameters.items():
        if name in _LONGEST and len(value) > _LONGEST[name]:
            raise InvalidRequest(f"{name} must have at most {_LONGEST[name]} characters")


def token_is_present(form: ReceivedForm) -> None:
    """RFC 7009 §2.1, RFC 7662 §2.1: REQUIRED."""
    if "token" not in form.parameters:
        raise InvalidRequest("the parameter token is missing")


T, R, I = Endpoint.TOKEN, Endpoint.REVOCATION, Endpoint.INTROSPECTION  # noqa: E741
CHECKS = (  # in order; all before client authentication
    Check(no_secret_in_the_query, T | R | I),  # RFC 6749 §2.3.1
    Check(no_nul,                 T | R | I),  # RFC 6749 appendix A
    Check(no_value_is_huge,       T | R | I),
    Check(token_is_present,           R | I),  # RFC 7009 §2.1, RFC 7662 §2.1
)  # fmt: skip


_CHECKS_AT = {
    endpoint: tuple(check for check in CHECKS if endpoint in check.at) for endpoint in Endpoint
}  # asked of each request


async def receive(request: Request, endpoint: Endpoint) -> ReceivedForm:
    """Read the form and check it.

    Raises:
        InvalidRequest: not a form, a repeated parameter, or what a check says.
    """
    try:
        query: bytes = request.scope["query_string"]
        form = ReceivedForm(query.decode("latin-1"), await read_form(request))
    except MalformedForm as error:
        raise InvalidRequest(str(error)) from error
    for check in _CHECKS_AT[endpoint]:
        check.holds(form)
    return form


async def authenticate(
    server: AuthorizationServer, request: Request, form: ReceivedForm
) -> AuthenticatedClient:
    """The client of a request; under `/t/{organization}` only that organization's clients pass.

    Raises:
        InvalidRequest: two methods of authentication.
        InvalidClient: everything else that is wrong.
    """
    credentials = presented(request.headers.getlist("authorization"), form.parameters)
    by = await server.clients.authenticate(credentials, request.path_params.get("organization"))
    request.state.client = by
    return by
