"""Entries of the plan as they are on the wire, and the reading and writing of them.

A field that this version does not know may be a restriction, so it is never skipped: its name goes into
the thing's `unsupported`. Information that a node may ignore is sent in a field named `optional`.

What has its default is not on the wire, and what is not on the wire has its default. So a new field has a
default that means "as before", and a node of the previous version goes on serving whatever does not use it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from functools import cache
from ipaddress import ip_address
from sys import intern
from types import MappingProxyType
from typing import Any, Final, TypeVar

from ostiary.gateway.plan.things import (
    API,
    CORS,
    NOTHING,
    APIKey,
    Application,
    Backend,
    Client,
    Denial,
    Epoch,
    Key,
    Kind,
    Limit,
    Node,
    Organization,
    Plan,
    Resource,
    Revocation,
    Subscription,
    Thing,
)

NEVER: Final = 2**53 - 1
"""Larger than every epoch and every time: what an unreadable minimum or expiry counts as (fails closed)."""

IGNORABLE: Final = "optional"
TIME_HEADER: Final = "X-Ostiary-Time"
"""When an answer was given, in seconds since 1970; by `Date` a long poll was answered when it was asked."""
_T = TypeVar("_T")
_REQUIRED: Final[Any] = object()


class BadPlan(ValueError):
    """This answer cannot be a plan; the plan the node has stays."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that changed, as it is on the wire; `value` is `None` when the thing is gone."""

    kind: str
    id: str
    value: Mapping[str, Any] | None


class Fields:
    """Reads the members of a value one by one; what nobody asked for is `unknown`."""

    def __init__(self, kind: str, id: str, value: object) -> None:
        """Name the thing by its kind and identifier, or the part of a thing."""
        self._kind, self._id = kind, id
        if not isinstance(value, Mapping):
            raise BadPlan(f"{self._what}: an object was expected")
        self._left = dict(value)

    @property
    def _what(self) -> str:
        return f"{self._kind} {self._id}".rstrip()

    def take(self, name: str, expected: type[_T], default: _T = _REQUIRED) -> _T:
        """Read a member; one that is missing has its default, and without a default is an error."""
        if default is not _REQUIRED and name not in self._left:
            return default
        value = self._left.pop(name, None)
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise BadPlan(f"{self._what}: {name} is not a {expected.__name__}")
        return value

    def take_or_none(self, name: str, expected: type[_T]) -> _T | None:
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.take(name, expected)

    def name(self, name: str) -> str:
        """Read a string that many things have in common, and keep it once."""
        return intern(self.take(name, str))

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Read a list of strings; a missing one is empty, or the default."""
        values = self.take(name, list, list(default))
        if not all(isinstance(value, str) for value in values):
            raise BadPlan(f"{self._what}: {name} is not a list of strings")
        return tuple(values)

    def list_of(self, name: str, read: Callable[[Fields], _T]) -> tuple[tuple[_T, ...], frozenset[str]]:
        """Read objects, none when missing: what was read, and the names of unknown fields inside."""
        inner = [Fields(f"{self._what}.{name}", "", value) for value in self.take(name, list, [])]
        things = tuple(read(one) for one in inner)
        return things, frozenset(f"{name}.{unknown}" for one in inner for unknown in one.unknown)

    def limit(self, name: str) -> Limit | None:
        """Read a limit; a missing one is none. What is unknown inside it is unknown here."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        inner = Fields(f"{self._what}.{name}", "", self.take(name, dict))
        limit = Limit(inner.take("requests", int), inner.take("per", str))
        self._left |= {f"{name}.{unknown}": None for unknown in inner.unknown}
        return limit

    @property
    def unknown(self) -> frozenset[str]:
        return frozenset(self._left) - {IGNORABLE} if self._left else NOTHING


def _organization(id: str, f: Fields) -> Organization:
    name, issuer, audience = f.take("name", str), f.take("issuer", str), f.take("audience", str)
    return Organization(id, name, issuer, audience, f.unknown)


def _resource(f: Fields) -> Resource:
    limit = f.limit("limit")
    method, path, auth = f.take("method", str), f.take("path", str), f.take("auth", str, "any")
    return Resource(method, path, f.texts("scopes"), limit, auth)


def _cors(f: Fields) -> CORS:
    usual = CORS()
    return CORS(
        enabled=f.take("enabled", bool, usual.enabled),
        origins=f.texts("origins", usual.origins),
        methods=f.texts("methods", usual.methods),
        headers=f.texts("headers", usual.headers),
        credentials=f.take("credentials", bool, usual.credentials),
    )


def _backend(f: Fields) -> Backend:
    return Backend(
        production=f.texts("production"),
        sandbox=f.texts("sandbox"),
        timeout_ms=f.take_or_none("timeout_ms", int),
        connect_timeout_ms=f.take_or_none("connect_timeout_ms", int),
        health_check=f.take_or_none("health_check", str),
        server_name=f.take_or_none("server_name", str),
        ca=f.take_or_none("ca", str),
        client_certificate=f.take_or_none("client_certificate", str),
        client_key=f.take_or_none("client_key", str),
        breaker_failures=f.take_or_none("breaker_failures", int),
        breaker_pause_seconds=f.take_or_none("breaker_pause_seconds", int),
    )


def _api(id: str, f: Fields) -> API:
    addresses = Fields("api", f"{id}.backend", f.take("backend", dict))
    backend = _backend(addresses)
    resources, inside = f.list_of("resources", _resource)
    sharing = Fields("api", f"{id}.cors", f.take("cors", dict, {}))
    api = API(
        id=id,
        organization_id=f.take("organization_id", str),
        name=f.take("name", str),
        context=f.take("context", str),
        version=f.take("version", str),
        state=f.take("state", str),
        backend=backend,
        resources=resources,
        limit=f.limit("limit"),
        security=f.texts("security", ("oauth2",)),
        cors=_cors(sharing),
        default_version=f.take("default_version", bool, False),
        assertion_claims=f.texts("assertion_claims"),
    )
    unknown = f.unknown | inside | {f"backend.{name}" for name in addresses.unknown}
    unknown |= {f"cors.{name}" for name in sharing.unknown}
    return replace(api, unsupported=unknown) if unknown else api


def _application(id: str, f: Fields) -> Application:
    organization_id, name = f.name("organization_id"), f.take("name", str)
    owner, tier = f.name("owner"), f.name("tier")
    return Application(id, organization_id, name, owner, tier, f.limit("limit"), f.unknown)


def _client(id: str, f: Fields) -> Client:
    organization_id = f.name("organization_id")
    application_id, key_type = f.take_or_none("application_id", str), f.name("key_type")
    application_id = None if application_id is None else intern(application_id)
    return Client(id, organization_id, application_id, key_type, f.unknown)


def _subscription(id: str, f: Fields) -> Subscription:
    organization_id, application_id = f.name("organization_id"), f.name("application_id")
    api_id, plan_id, state = f.name("api_id"), f.name("plan_id"), f.name("state")
    return Subscription(id, organization_id, application_id, api_id, plan_id, state, f.unknown)


def _plan(id: str, f: Fields) -> Plan:
    organization_id, name = f.take("organization_id", str), f.take("name", str)
    requests, per = f.take_or_none("requests", int), f.take("per", str)
    burst, bandwidth = f.limit("burst"), f.take_or_none("bandwidth", int)
    return Plan(id, organization_id, name, requests, per, burst, bandwidth, f.unknown)


def _key(id: str, f: Fields) -> Key:
    organization_id, jwk, state = f.take("organization_id", str), f.take("jwk", dict), f.take("state", str)
    return Key(id, organization_id, MappingProxyType(jwk), state, f.unknown)


def _epoch(id: str, f: Fields) -> Epoch:
    organization_id, _, rest = id.partition(":")
    kind, separator, key = rest.partition(":")
    if not separator:
        raise BadPlan(f"epoch {id}: <organization>:<kind>:<key> was expected")
    try:
        minimum = f.take("minimum", int)
    except BadPlan:
        minimum = NEVER
    return Epoch(id, organization_id, kind, key, minimum)


def _revocation(id: str, f: Fields) -> Revocation:
    try:
        expires_at = f.take("expires_at", int)
    except BadPlan:
        expires_at = NEVER
    return Revocation(id, expires_at)


def _node(id: str, f: Fields) -> Node:
    rotation = f.take("rotation", int)
    return Node(id, rotation, f.unknown)


def _api_key(id: str, f: Fields) -> APIKey:
    return APIKey(
        id=id,
        organization_id=f.take("organization_id", str),
        application_id=f.take("application_id", str),
        key_type=f.take("key_type", str),
        expires_at=f.take_or_none("expires_at", int),
        addresses=f.texts("addresses"),
        referers=f.texts("referers"),
        unsupported=f.unknown,
    )


def _denial(id: str, f: Fields) -> Denial:
    organization_id, condition = f.take("organization_id", str), f.take("condition", str)
    value, invert = f.take("value", str), f.take("invert", bool, False)
    if condition == "IP":
        _check_range(id, value)
    return Denial(id, organization_id, condition, value, invert, f.unknown)


def _check_range(id: str, value: str) -> None:
    try:
        first, last = (ip_address(one) for one in value.split("-"))
    except ValueError:
        raise BadPlan(f"denial {id}: first-last of addresses was expected") from None
    if first.version != last.version or int(first) > int(last):
        raise BadPlan(f"denial {id}: the range is empty")


_READ: Final[Mapping[str, Callable[[str, Fields], Thing]]] = {
    Kind.ORGANIZATION: _organization,
    Kind.API: _api,
    Kind.APPLICATION: _application,
    Kind.CLIENT: _client,
    Kind.SUBSCRIPTION: _subscription,
    Kind.PLAN: _plan,
    Kind.KEY: _key,
    Kind.EPOCH: _epoch,
    Kind.REVOCATION: _revocation,
    Kind.NODE: _node,
    Kind.API_KEY: _api_key,
    Kind.DENIAL: _denial,
}
MUST_BE_READ: Final = frozenset({Kind.EPOCH, Kind.REVOCATION})
"""Kinds whose absence would allow a call: an unreadable one refuses the whole change."""
_NAMED: Final = frozenset({Kind.ORGANIZATION, Kind.API, Kind.APPLICATION, Kind.PLAN})
"""Kinds that other things name by their identifiers, which are kept once."""
_KIND_OF: Final[Mapping[type, Kind]] = {
    Organization: Kind.ORGANIZATION,
    API: Kind.API,
    Application: Kind.APPLICATION,
    Client: Kind.CLIENT,
    Subscription: Kind.SUBSCRIPTION,
    Plan: Kind.PLAN,
    Key: Kind.KEY,
    Epoch: Kind.EPOCH,
    Revocation: Kind.REVOCATION,
    Node: Kind.NODE,
    APIKey: Kind.API_KEY,
    Denial: Kind.DENIAL,
}
SLOT: Final[Mapping[str, str]] = {
    Kind.ORGANIZATION: "organizations",
    Kind.API: "apis",
    Kind.APPLICATION: "applications",
    Kind.CLIENT: "clients",
    Kind.SUBSCRIPTION: "subscriptions",
    Kind.PLAN: "plans",
    Kind.KEY: "keys",
    Kind.EPOCH: "epochs",
    Kind.REVOCATION: "revocations",
    Kind.NODE: "nodes",
    Kind.API_KEY: "api_keys",
    Kind.DENIAL: "denials",
}
_NOT_ON_THE_WIRE: Final = frozenset({"id", "unsupported"})


def read(entry: Entry) -> Thing:
    """Read one entry of a known kind.

    Raises:
        BadPlan: the value lacks a field or has one of the wrong type.
    """
    id = intern(entry.id) if entry.kind in _NAMED else entry.id
    return _READ[entry.kind](id, Fields(entry.kind, entry.id, entry.value))


def to_wire(thing: Thing) -> Entry:
    """Write one thing as its entry; `read(to_wire(thing)) == thing`."""
    value = _plain(thing)
    if isinstance(thing, Epoch):
        value = {"minimum": thing.minimum}
    if isinstance(thing, APIKey):
        value[IGNORABLE] = True
    return Entry(_KIND_OF[type(thing)], thing.id, value)


def _plain(value: Any) -> Any:
    said = _said(type(value))  # type: ignore[arg-type]  # a class is hashable
    if said is not None:
        pairs = [(name, getattr(value, name), default) for name, default in said]
        return {name: _plain(one) for name, one, default in pairs if default is MISSING or one != default}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


@cache
def _said(kind: Hashable) -> tuple[tuple[str, Any], ...] | None:
    """The fields of a dataclass that are on the wire, with their defaults; `None` for another type."""
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return None
    return tuple((one.name, _default(one)) for one in fields(kind) if one.name not in _NOT_ON_THE_WIRE)


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def content_digest(body: bytes) -> str:
    """Return the digest (RFC 9530 §2) with which a node checks an answer before it takes it."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def epoch_id(organization_id: str, kind: str, key: str) -> str:
    """Return the id of the epoch entry for one narrowed thing."""
    return f"{organization_id}:{kind}:{key}"
