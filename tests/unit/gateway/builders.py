"""A plan with one of each, and tokens for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from ostiary.gateway.node.keys import KeyRing, KeyTiming
from ostiary.gateway.plan import (
    API,
    Application,
    Backend,
    Client,
    GatewayPlan,
    Key,
    Node,
    Organization,
    Plan,
    Resource,
    Subscription,
    Thing,
    to_wire,
)

NOW = 1_800_000_000
SIGNING_KEY = ECKey.generate_key("P-256")
OTHER_KEY = ECKey.generate_key("P-256")
BASE = "https://ostiary.example"


def a_ring(make: Callable[[], ECKey]) -> KeyRing:
    """The keys of a node whose first one signs."""
    ring = KeyRing().step(NOW, 0, KeyTiming(310, 960), make)
    return ring.registered(frozenset(key.kid for key in ring.keys), NOW, first=True)


def public(key: ECKey) -> dict[str, Any]:
    return {**key.as_dict(private=False), "alg": "ES256", "use": "sig"}


def an_organization(name: str = "my_company") -> Organization:
    issuer = f"{BASE}/t/{name}"
    return Organization(f"org-{name}", name, issuer, f"{issuer}/gateway")


def an_api(id: str = "api", organization: str = "my_company", **changes: Any) -> API:
    values: dict[str, Any] = {
        "name": "Orders",
        "context": f"/{id}",
        "version": "1.0.0",
        "state": "PUBLISHED",
        "backend": Backend(("http://127.0.0.1:9701",), ()),
        "resources": (Resource("GET", "/{id}"),),
        **changes,
    }
    return API(id=id, organization_id=f"org-{organization}", **values)


def an_application(id: str = "app", organization: str = "my_company") -> Application:
    return Application(id, f"org-{organization}", "Mobile", f"bob@{organization}", "Unlimited")


def a_client(id: str = "mobile", application: str | None = "app", **changes: Any) -> Client:
    values = {"organization_id": "org-my_company", "key_type": "PRODUCTION", **changes}
    return Client(id=id, application_id=application, **values)


def a_subscription(id: str = "sub", **changes: Any) -> Subscription:
    values = {
        "organization_id": "org-my_company",
        "application_id": "app",
        "api_id": "api",
        "plan_id": "gold",
        "state": "UNBLOCKED",
        **changes,
    }
    return Subscription(id=id, **values)


def a_plan(id: str = "gold", **changes: Any) -> Plan:
    values = {
        "organization_id": "org-my_company",
        "name": id.title(),
        "requests": 5000,
        "per": "minute",
        **changes,
    }
    return Plan(id=id, **values)


def a_key(
    key: ECKey = SIGNING_KEY, organization: str = "my_company", kid: str = "k1", state: str = "active"
) -> Key:
    return Key(kid, f"org-{organization}", public(key), state)


def a_gateway_plan(*more: Thing, number: int = 7) -> GatewayPlan:
    things: list[Thing] = [
        an_organization(),
        an_organization("other"),
        an_api(),
        an_application(),
        a_client(),
        a_subscription(),
        a_plan(),
        a_key(),
        a_key(OTHER_KEY, "other", "k2"),
        Node("node", 0),
    ]
    return GatewayPlan().apply(number, [to_wire(thing) for thing in (*things, *more)])


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token; a change to None removes one."""
    organization = changes.pop("organization", "my_company")
    issuer = f"{BASE}/t/{organization}"
    values = {
        "iss": issuer,
        "aud": f"{issuer}/gateway",
        "sub": "5b0e5c0e-0000-4000-8000-000000000001",
        "client_id": "mobile",
        "scope": "orders:read orders:write",
        "iat": NOW - 10,
        "exp": NOW + 3600,
        "jti": "jti-1",
        "aut": "APPLICATION_USER",
        "org": organization,
        "store": "EXTERNAL",
        "username": "testuser",
        "epoch": 5,
        "family": "family-1",
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def a_token(key: ECKey = SIGNING_KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    head = {"alg": "ES256", "typ": "at+jwt", "kid": "k1", **(header or {})}
    return jwt.encode(head, claims(**changes), key, algorithms=["ES256"])


def sha256(credential: str) -> str:
    return hashlib.sha256(credential.encode()).hexdigest()
