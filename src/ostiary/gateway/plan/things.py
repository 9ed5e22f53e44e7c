"""The kinds of things a gateway plan holds, one frozen dataclass each, with what their values mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

NOTHING: Final[frozenset[str]] = frozenset()


class Kind(StrEnum):
    """What an entry of the plan is about."""

    ORGANIZATION = "organization"
    API = "api"
    APPLICATION = "application"
    CLIENT = "client"
    SUBSCRIPTION = "subscription"
    PLAN = "plan"
    KEY = "key"
    EPOCH = "epoch"
    REVOCATION = "revocation"
    NODE = "node"
    API_KEY = "api_key"
    DENIAL = "denial"
    CLAIMS = "claims"
    """Of a subject: said when they change, never what they are. A node that does not know this ignores it."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant and what its tokens must say."""

    id: str
    name: str
    issuer: str
    audience: str
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Limit:
    """`requests` in each fixed clock window `per`: second, minute, hour, day or month."""

    requests: int
    per: str


@dataclass(frozen=True, slots=True)
class Resource:
    """One verb and path template of an API; any one of `scopes` suffices, none means any valid token."""

    method: str
    path: str
    scopes: tuple[str, ...] = ()
    limit: Limit | None = None
    """Of all callers together."""
    auth: str = "any"
    """Whose token it takes: any, application, user; `none` asks for no credential at all."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the calls of an API go, by key type, and how."""

    production: tuple[str, ...] = ()
    sandbox: tuple[str, ...] = ()
    timeout_ms: int | None = None
    """For each answer; `None` is the gateway's own."""
    connect_timeout_ms: int | None = None
    health_check: str | None = None
    """A path that healthy backends answer with 2xx or 3xx."""
    server_name: str | None = None
    """The name certificates must have, where it is not the address's."""
    ca: str | None = None
    """PEM: whom certificates are verified against, instead of the system's authorities."""
    client_certificate: str | None = None
    """PEM: what the gateway proves itself with."""
    client_key: str | None = field(default=None, repr=False)
    """PEM: the key of `client_certificate`."""
    breaker_failures: int | None = None
    breaker_pause_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class CORS:
    """What browsers are told of an API's calls from other origins (Fetch §3.2)."""

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


@dataclass(frozen=True, slots=True)
class API:
    """One version of an API."""

    id: str
    organization_id: str
    name: str
    context: str
    """With its leading slash, without the organization: `/orders`."""
    version: str
    state: str
    """CREATED, PROTOTYPED, PUBLISHED, BLOCKED, DEPRECATED or RETIRED."""
    backend: Backend
    resources: tuple[Resource, ...]
    limit: Limit | None = None
    """Of all callers together."""
    security: tuple[str, ...] = ("oauth2",)
    """The kinds of credentials it takes: oauth2, api_key."""
    cors: CORS = CORS()
    default_version: bool = False
    """Whether calls whose path names no version are this one's."""
    assertion_claims: tuple[str, ...] = ()
    """Claims of the user that its backend JWT has besides; what they are, the node asks for."""
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Application:
    """What a subscriber registered; its clients call in its name."""

    id: str
    organization_id: str
    name: str
    owner: str
    """As written in claims: `[STORE/]name@organization`."""
    tier: str
    limit: Limit | None = None
    """What the tier means: for each of its users, over all APIs."""
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client; `application_id` is `None` for one that belongs to no application."""

    id: str
    organization_id: str
    application_id: str | None
    key_type: str
    """PRODUCTION or SANDBOX."""
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Subscription:
    """Application × API × plan."""

    id: str
    organization_id: str
    application_id: str
    api_id: str
    plan_id: str
    state: str
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Plan:
    """A named rate limit: `requests` in each fixed window `per`; `None` is unlimited."""

    id: str
    organization_id: str
    name: str
    requests: int | None
    per: str
    """second, minute, hour, day or month."""
    burst: Limit | None = None
    """Besides: for each second or minute."""
    bandwidth: int | None = None
    """Bytes in and out, with headers, in each window `per`; `None` is unlimited."""
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that signs an organization's access tokens; `id` is its `kid`."""

    id: str
    organization_id: str
    jwk: Mapping[str, Any]
    state: str
    """announced, active or retiring: each of them verifies."""
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Epoch:
    """Tokens of `organization_id` whose `epoch` is below `minimum` are refused for this subject, client, …"""

    id: str
    organization_id: str
    kind: str
    key: str
    minimum: int


@dataclass(frozen=True, slots=True)
class Revocation:
    """`token:<jti>` or `family:<id>` is refused until every token it means has expired."""

    id: str
    expires_at: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class APIKey:
    """A key of an application; `id` is the SHA-256 of what the caller shows, in hex.

    A node that does not know this kind ignores it: it is a grant, and no API without `api_key` takes one.
    """

    id: str
    organization_id: str
    application_id: str
    key_type: str
    """PRODUCTION or SANDBOX."""
    expires_at: int | None = None
    """Seconds since 1970; `None` is never."""
    addresses: tuple[str, ...] = ()
    """Networks (`192.0.2.0/24`) its calls may come from; none is all."""
    referers: tuple[str, ...] = ()
    """Origins, possibly with a path, its calls may name as `Referer`; none is all."""
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Denial:
    """Calls that are refused whatever else holds; one that cannot be read bars the organization."""

    id: str
    organization_id: str
    condition: str
    """IP, USER, APPLICATION or API."""
    value: str
    """`first-last` of addresses; `[STORE/]name@organization`; an application's or API's id."""
    invert: bool = False
    """Of an IP condition: every address but these."""
    unsupported: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Node:
    """A gateway node; when its own key's rotation number is lower than this, it makes a new key."""

    id: str
    rotation: int
    unsupported: frozenset[str] = NOTHING


Thing = (
    Organization
    | API
    | Application
    | Client
    | Subscription
    | Plan
    | Key
    | Epoch
    | Revocation
    | Node
    | APIKey
    | Denial
)
