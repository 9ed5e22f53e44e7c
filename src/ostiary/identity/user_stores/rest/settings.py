"""What can be set of a login service: where it is, how it knows us, what it is sent, what answers mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, SecretStr, model_validator

from ostiary.foundation.http_client import OutboundPolicy, OutboundRefused
from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.rest.placeholders import PLACEHOLDERS, placeholders
from ostiary.identity.user_stores.type_settings import FileText, Section, TypeSettings

Method = Literal["GET", "POST", "PUT"]
Status = Annotated[int, Field(ge=200, le=499)]
Statuses = Annotated[list[Status], Field(max_length=20)]
OneLine = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]

_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "authorization", "te", "upgrade"}
)


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"a JMESPath expression ({str(error).splitlines()[0]})") from None
    return text


Expression = Annotated[OneLine, AfterValidator(_expression)]


class Basic(Section):
    """Our own user name and password at the service (RFC 7617)."""

    username: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^:\x00-\x1f\x7f]*$")]
    password: SecretStr | None = Field(default=None, min_length=1, max_length=1024)


class Bearer(Section):
    """A token that the service knows us by (RFC 6750)."""

    token: SecretStr | None = Field(default=None, min_length=1, max_length=4096)


class SignedToken(Section):
    """A token that we sign for each minute (RFC 7519); the service has the public key."""

    key: SecretStr | None = None
    """A private key in PEM: P-256 (ES256) or RSA (RS256)."""
    key_id: OneLine | None = None
    issuer: OneLine = "ostiary"
    audience: OneLine | None = None


class Signature(Section):
    """A signature of each request (RFC 9421, `hmac-sha256`) over method, address and digest of the body."""

    key_id: OneLine
    secret: SecretStr | None = Field(default=None, min_length=16, max_length=1024)


class Auth(Section):
    """How a login service knows us: one of these."""

    basic: Basic | None = None
    bearer: Bearer | None = None
    signed_token: SignedToken | None = None
    signature: Signature | None = None

    @model_validator(mode="after")
    def _one(self) -> Auth:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError(f"one of {', '.join(type(self).model_fields)}")
        return self


class ClientCertificate(Section):
    """What we prove ourselves with while connecting (mutual TLS)."""

    certificate: FileText
    """PEM, ours first."""
    key: SecretStr | None = None
    """PEM, not encrypted."""


class Proxy(Section):
    """A forward proxy on the way out. It is the proxy that resolves the service's name."""

    url: OneLine
    username: OneLine | None = None
    password: SecretStr | None = Field(default=None, min_length=1, max_length=1024)


class Request(Section):
    """What the service is sent; `{username}` and `{password}` become values, never parts of a text."""

    method: Method = "POST"
    format: Literal["json", "form"] = "json"
    body: dict[str, Any] = Field(default_factory=dict)
    query: dict[str, OneLine] = Field(default_factory=dict)
    headers: dict[HeaderName, OneLine] = Field(default_factory=dict)
    as_user: bool = False
    """Whether the person's own name and password are sent as HTTP Basic credentials."""

    @model_validator(mode="after")
    def _sound(self) -> Request:
        if self.method == "GET" and self.body:
            raise ValueError("no 'body' for GET")
        if self.format == "form" and not all(isinstance(value, str) for value in self.body.values()):
            raise ValueError("texts alone in the 'body' of a form")
        if "password" in placeholders([self.query, self.headers]):
            raise ValueError("{password} in the 'body' alone: addresses and headers are written to logs")
        if "password" not in placeholders(self.body) and not self.as_user:
            raise ValueError("{password} in the 'body', or 'as_user: true'")
        if reserved := [name for name in self.headers if name.lower() in _OURS]:
            raise ValueError(f"headers other than {', '.join(reserved)}")
        return self


class Response(Section):
    """What an answer means: each condition is a JMESPath expression that must be `true`.

    A refusal cannot tell an unknown user from a wrong password, unless the service says so with `unknown`.
    What is nothing of this is no answer.
    """

    accepted: Expression | None = None
    """Without it the status alone says so."""
    refused: Expression | None = None
    unknown: Expression | None = None
    accepted_status: Statuses = Field(default=[200], min_length=1)
    refused_status: Statuses = Field(default_factory=list)
    unknown_status: Statuses = Field(default_factory=list)
    id: Expression | None = None
    name: Expression | None = None
    groups: Expression | None = None
    claims: dict[str, Expression] = Field(default_factory=dict, max_length=50)

    @model_validator(mode="after")
    def _apart(self) -> Response:
        said = [
            *self.refused_status,
            *self.unknown_status,
            *(self.accepted_status if not self.accepted else ()),
        ]
        if len(set(said)) != len(said):
            raise ValueError("each status once")
        return self


class Attributes(Section):
    """A request after a login was accepted, for the id, groups and claims of the person."""

    method: Literal["GET", "POST"] = "GET"
    url: OneLine
    """May have `{username}` and `{id}`."""
    query: dict[str, OneLine] = Field(default_factory=dict)
    id: Expression | None = None
    groups: Expression | None = None
    claims: dict[str, Expression] = Field(default_factory=dict, max_length=50)


class Exists(Section):
    """A request after a refusal, whether there is such a user at all."""

    url: OneLine
    """May have `{username}`."""
    known_status: Statuses = Field(default=[200], min_length=1)
    unknown_status: Statuses = Field(default=[404], min_length=1)


class LookUp(Attributes):
    """A request without a password: whether somebody who has logged in is there still."""

    name: Expression | None = None
    """The person's own name, where it can change."""
    active: Expression | None = None
    """A condition that is `true` of whoever may log in; without it, everybody who is there may."""
    unknown_status: Statuses = Field(default=[404], min_length=1)
    """What says that there is no such person."""


class RESTSettings(TypeSettings):
    """A RESTful authentication service."""

    ADDRESSES: ClassVar[frozenset[str]] = frozenset(
        {"url", "auth", "client_certificate", "ca", "proxy", "template", "attributes", "exists", "look_up"}
    )

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    """Where logins are sent; with `template: agent`, the address that its paths are added to."""
    auth: Auth | None = None
    client_certificate: ClientCertificate | None = None
    ca: FileText | None = None
    """Certificates in PEM of the authorities that are trusted; without it those of this machine."""
    proxy: Proxy | None = None
    template: Literal["agent"] | None = None
    """A form that is ready: `agent` is that of WSO2's on-premises user store agent."""
    request: Request | None = None
    """Without it, the agreed form."""
    response: Response | None = None
    exists: Exists | None = None
    attributes: Annotated[list[Attributes], Field(max_length=3)] = Field(default_factory=list)
    look_up: LookUp | None = None
    """Without it nobody can be asked about without a password."""
    claims: dict[str, OneLine] = Field(default_factory=dict, max_length=50)
    """With `template: agent`: claim → attribute."""

    @model_validator(mode="after")
    def _one_form(self) -> RESTSettings:
        own = {
            "request": self.request,
            "response": self.response,
            "exists": self.exists,
            "look_up": self.look_up,
        }
        said = [name for name, value in own.items() if value] + ["attributes"] * bool(self.attributes)
        if self.template is not None and said:
            raise ValueError(f"'template' without {', '.join(said)}, which it says itself")
        if self.claims and self.template is None:
            raise ValueError("'claims' under 'response' or 'attributes', unless 'template' is given")
        if (self.request is None) != (self.response is None):
            raise ValueError("'request' and 'response' together")
        if (
            self.request is not None
            and self.request.as_user
            and self.auth is not None
            and not self.auth.signature
        ):
            raise ValueError("no 'auth' but 'signature' where 'as_user' is true: there is one Authorization")
        if self.request is not None and not self._names_the_user(self.request):
            raise ValueError("{username} in 'body', 'query' or 'url', or 'as_user: true'")
        return self

    @model_validator(mode="after")
    def _tells_as_much(self) -> RESTSettings:
        """What a look-up left out would be taken for gone."""
        if self.look_up is None:
            return self
        told, login = [self.look_up, *self.attributes], self.response or Response()
        if login.groups and not any(one.groups for one in told):
            raise ValueError("'groups' in 'look_up', as 'response' has them")
        if missing := login.claims.keys() - {claim for one in told for claim in one.claims}:
            raise ValueError(f"the claim {min(missing)!r} in 'look_up', as 'response' has it")
        places = placeholders([self.look_up.url, self.look_up.query])
        if not places & {"id", "username"} or (login.id and "id" not in places and not self.look_up.id):
            raise ValueError("{id} in the 'url' of 'look_up'" + (", or its 'id'" * bool(login.id)))
        return self

    @classmethod
    def looks_up(cls, kept: Mapping[str, Any]) -> bool:
        """See `TypeSettings`."""
        return "look_up" in kept or kept.get("template") == "agent"

    def check(self, policy: OutboundPolicy | None) -> None:
        """See `TypeSettings`."""
        for field, url, known in self._urls():
            if len(url) > 2000 or not url.isascii() or any(c <= " " or c == "#" for c in url):
                expected = "an https URL of at most 2000 ASCII characters without spaces or '#'"
                raise InvalidUserStore(field, expected)
            if others := set(re.findall(r"\{([^}]*)\}", url)) - known:
                allowed = " or ".join(f"{{{name}}}" for name in sorted(known)) or "none"
                raise InvalidUserStore(field, f"no placeholder {{{min(others)}}}; here is {allowed}")
            try:
                (policy or OutboundPolicy()).check_url(re.sub(r"\{[^}]*\}", "x", url))
            except OutboundRefused as error:
                if policy is not None or "allowed_networks" not in str(error):
                    raise InvalidUserStore(field, str(error)) from error

    def _urls(self) -> Iterator[tuple[str, str, set[str]]]:
        yield "url", self.url, {"username"} if self.request is not None else set()
        if self.exists is not None:
            yield "exists.url", self.exists.url, {"username"}
        if self.look_up is not None:
            yield "look_up.url", self.look_up.url, {"username", "id"}
        for index, one in enumerate(self.attributes):
            yield f"attributes.{index}.url", one.url, {"username", "id"}
        if self.proxy is not None:
            yield "proxy.url", self.proxy.url, set()

    def _names_the_user(self, request: Request) -> bool:
        said = placeholders([request.body, request.query, self.url])
        return request.as_user or PLACEHOLDERS[0] in said
