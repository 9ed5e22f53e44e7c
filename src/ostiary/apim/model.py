"""API management's things and the rules a value of them obeys by itself.

An `API` is one version of a published interface. Names of plans and scopes are names within
the organization. Whether an address may be called at all is the outbound policy's, asked by the use cases.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ostiary.apim.assertion import check_claims
from ostiary.apim.backends import Backend, check_backend
from ostiary.apim.errors import Invalid
from ostiary.apim.exposure import CORS, USUAL_CORS, AuthType, CredentialKind, check_cors, check_security
from ostiary.apim.lifecycle import LifecycleState
from ostiary.apim.limits import UNLIMITED, Limit, Period, check_limit
from ostiary.apim.paths import parse_context, parse_method, parse_path, parse_version, shape

MAX_RESOURCES = 2_000
_NAME = re.compile(
    r"[^\s\x00-\x1f\x7f<>\"'`\\/](?:[^\x00-\x1f\x7f<>\"'`\\/]{0,58}[^\s\x00-\x1f\x7f<>\"'`\\/])?"
)
_PLAN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")  # RFC 6749 §3.3


class KeyType(StrEnum):
    """Which of the API's two backends an application's client calls."""

    PRODUCTION = "PRODUCTION"
    SANDBOX = "SANDBOX"


class SubscriptionState(StrEnum):
    """Whether calls under a subscription pass."""

    UNBLOCKED = "UNBLOCKED"
    BLOCKED = "BLOCKED"
    PROD_ONLY_BLOCKED = "PROD_ONLY_BLOCKED"
    ON_HOLD = "ON_HOLD"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class Resource:
    """One method and path template; any one of `scopes` lets a call pass, none asks for no scope."""

    method: str
    path: str
    scopes: tuple[str, ...] = ()
    limit: Limit | None = None
    """Of all callers together."""
    auth: AuthType = AuthType.ANY


@dataclass(frozen=True, slots=True)
class API:
    """One version of an API."""

    id: str
    organization_id: str
    name: str
    context: str
    version: str
    state: LifecycleState
    backend: Backend
    plans: tuple[str, ...]
    resources: tuple[Resource, ...]
    limit: Limit | None = None
    """Of all callers together."""
    security: tuple[CredentialKind, ...] = (CredentialKind.OAUTH2,)
    cors: CORS = USUAL_CORS
    default_version: bool = False
    """Whether calls to the context without a version are this version's; one of a context is."""
    assertion_claims: tuple[str, ...] = ()
    """Claims of the user that its backend JWT has besides, those that matter most first."""

    @property
    def base_path(self) -> str:
        """The path all resources lie under, without the organization's prefix."""
        return f"{self.context}/{self.version}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A rate limit a subscription can have; `requests` None is unlimited.

    `burst` limits each second or minute besides; `bandwidth` is in bytes, of both directions, per window.
    """

    id: str
    organization_id: str
    name: str
    requests: int | None
    per: Period
    built_in: bool = False
    burst: Limit | None = None
    bandwidth: int | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """What a subscriber registers; its keys are clients of the authorization server.

    `owner` is written `[STORE/]name`; `owner_subject` is known once that person has been seen.
    """

    id: str
    organization_id: str
    name: str
    owner: str
    owner_subject: str | None = None
    tier: str = UNLIMITED
    keys: Mapping[KeyType, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApplicationKeys:
    """One client of an application and which backend it calls."""

    organization_id: str
    application_id: str
    key_type: KeyType
    client_id: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """An application may call an API version under a plan."""

    id: str
    organization_id: str
    application_id: str
    api_id: str
    plan_id: str
    plan: str
    state: SubscriptionState


@dataclass(frozen=True, slots=True)
class APIKey:
    """A key of an application: what is known of it after it was shown."""

    id: str
    organization_id: str
    application_id: str
    key_type: KeyType
    name: str
    sha256: str = field(repr=False)
    """Of the key, in hex; 256 random bits went into it."""
    created_at: datetime
    expires_at: datetime | None
    addresses: tuple[str, ...]
    """Networks its calls may come from; none is all."""
    referers: tuple[str, ...]
    """What its calls may name as `Referer`; none is all."""


@dataclass(frozen=True, slots=True)
class DenyPolicy:
    """Calls that are refused; `value` as `denying.canonical_value` writes it."""

    id: str
    organization_id: str
    condition: str
    value: str
    invert: bool = False
    enabled: bool = True


def check_api(api: API) -> API:
    """Check everything about an API that needs nothing else to be known.

    Raises:
        Invalid: the first value that breaks a rule.
    """
    parse_name(api.name)
    parse_context(api.context)
    parse_version(api.version)
    check_backend(api.backend)
    check_resources(api.resources)
    check_limit("limit", api.limit)
    check_security(api.security)
    check_cors(api.cors)
    check_claims(api.assertion_claims)
    if api.state not in (LifecycleState.CREATED, LifecycleState.RETIRED):
        check_publishable(api)
    return api


def check_publishable(api: API) -> None:
    """Check what an API needs before anyone can call it.

    Raises:
        Invalid: it has no backend, no resource or, unless it is a prototype, no plan.
    """
    if not api.backend.addresses:
        raise Invalid("backend", "none", "at least one backend URL before the API is published")
    if not api.resources:
        raise Invalid("resources", "none", "at least one resource before the API is published")
    if not api.plans and api.state is not LifecycleState.PROTOTYPED:
        raise Invalid("plans", "none", "at least one plan before the API is published")


def check_resources(resources: tuple[Resource, ...]) -> None:
    """Check resources one by one and against each other.

    Raises:
        Invalid: one is malformed, or two are the same.
    """
    if len(resources) > MAX_RESOURCES:
        raise Invalid("resources", str(len(resources)), f"at most {MAX_RESOURCES}")
    seen: dict[tuple[str, str], str] = {}
    for resource in resources:
        key = (parse_method(resource.method), shape(parse_path(resource.path)))
        for scope in resource.scopes:
            parse_scope(scope)
        check_limit("limit", resource.limit)
        if resource.scopes and resource.auth is AuthType.NONE:
            raise Invalid(
                "scopes", resource.scopes[0], "no scope where auth is none: nobody is asked for one"
            )
        if key in seen:
            raise Invalid("resources", f"{resource.method} {resource.path}", f"no second {seen[key]}")
        seen[key] = f"{resource.method} {resource.path}"


def parse_name(text: str) -> str:
    """Check the name of an API or application.

    Raises:
        Invalid: it is not 1 to 60 printable characters.
    """
    if not _NAME.fullmatch(text) or not text.isprintable():
        raise Invalid(
            "name", repr(text), "1 to 60 printable characters without < > \" ' ` \\ / or blanks around"
        )
    return text


def parse_plan_name(text: str) -> str:
    """Check the name of a plan.

    Raises:
        Invalid: it is not one word of at most 50 characters.
    """
    if not _PLAN_NAME.fullmatch(text):
        raise Invalid("name", repr(text), "1 to 50 letters, digits, '_', '.' and '-'")
    return text


def parse_scope(text: str) -> str:
    """Check a scope that a resource asks for (RFC 6749 §3.3).

    Raises:
        Invalid: it is not a scope token.
    """
    if not _SCOPE_TOKEN.fullmatch(text):
        raise Invalid("scopes", repr(text), "a scope: printable ASCII without blanks, quotes and backslashes")
    return text


def known_scopes(resources: Iterable[Resource]) -> tuple[str, ...]:
    """Return every scope the resources ask for, each once, in order."""
    return tuple(dict.fromkeys(scope for resource in resources for scope in resource.scopes))
