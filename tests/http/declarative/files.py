"""Builders for organization files: the example of the documentation, and what changes it."""

import copy
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.support.identity import BOX

from ostiary import identity, oauth, organizations
from ostiary.declarative import (
    Applying,
    Detail,
    OrganizationFile,
    OrganizationPlan,
    Refused,
    Resolver,
    Tools,
    check_file,
    read_documents,
    read_file,
)
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import PasswordHasher

EXAMPLE = """\
apiVersion: ostiary/v1
organization: {name: my_company, display_name: My Company}
user_stores:                       # asked after PRIMARY, in this order
  - name: EXTERNAL
    type: rest
    url: http://127.0.0.1:9700/authenticate
    auth: {basic: {username: gateway, password: {env: EXTERNAL_STORE_PASSWORD}}}
    timeout_ms: 2000
users:                             # PRIMARY
  - {username: bob, password: {env: BOB_PASSWORD}, roles: [support], claims: {email: bob@example.com}}
roles:
  - {name: support, permissions: [/permission/admin/manage/identity/identitymgt/view]}
  - {name: clerk, users: [EXTERNAL/testuser], groups: [CORP/sales]}
scopes:
  - {name: "orders:write", description: Create orders, roles: [clerk]}
plans:                             # besides the built-in Bronze 1000/min, Silver 2000, Gold 5000, Unlimited
  - {name: Tiny, requests: 5, per: minute}
apis:
  - name: Orders
    context: /orders
    version: 1.0.0
    state: PUBLISHED
    backend: {production: ["http://127.0.0.1:9701"]}
    plans: [Gold, Tiny]
    resources:                     # or  openapi: ./orders.openapi.yaml
      - {method: GET, path: "/"}
      - {method: GET, path: "/{id}"}
      - {method: POST, path: "/", scopes: ["orders:write"]}
applications:
  - name: Mobile
    owner: bob
    keys:
      production:
        client_id: mobile
        client_secret: {env: MOBILE_SECRET}
        grant_types: [password, client_credentials, refresh_token]
    subscriptions: [{api: Orders, version: 1.0.0, plan: Gold}]
"""
ENVIRONMENT = {
    "EXTERNAL_STORE_PASSWORD": "store-pass",
    "BOB_PASSWORD": "bob-pass",
    "MOBILE_SECRET": "mobile-secret",
    "CORP_PASSWORD": "corp-pass",
    "SHOP_PASSWORD": "shop-pass",
}
RESOLVER = Resolver(ENVIRONMENT, Path("/nonexistent"))


def the_example() -> dict[str, Any]:
    """The content of the example with its secrets resolved, free to be changed."""
    file = read_file(read_documents(EXAMPLE, "example.yaml")[0], RESOLVER)
    return copy.deepcopy(file.model_dump(mode="json", exclude_unset=True, context={"reveal": True}))


def a_file(content: dict[str, Any]) -> OrganizationFile:
    """A checked file."""
    return check_file(content)


def an_applying(database: Database) -> Applying:
    """The use case on a database."""
    return Applying(database, PasswordHasher(), Tools(BOX, OutboundPolicy(), utc_now))


async def apply(database: Database, *contents: dict[str, Any], **options: Any) -> list[OrganizationPlan]:
    """Apply contents as one."""
    return await an_applying(database).apply([a_file(content) for content in contents], **options)


def lines(plans: list[OrganizationPlan]) -> list[str]:
    """The changes of plans, short."""
    return [f"{change.action} {change.kind} {change.name}" for plan in plans for change in plan.changes]


EVERYTHING = [
    "+ organization my_company",
    "+ user store EXTERNAL",
    "+ plan Tiny",
    "+ role support",
    "+ role clerk",
    "+ user bob",
    "+ scope orders:write",
    "+ api Orders 1.0.0",
    "+ application Mobile",
    "+ client mobile",
    "+ subscription Mobile > Orders 1.0.0",
]


async def here(database: Database) -> str:
    """The identifier of `my_company`."""
    found = await database.read(lambda c: organizations.find(c, "my_company"))
    assert found is not None
    return found.id


async def refusals(database: Database, *contents: dict[str, Any], **options: Any) -> list[str]:
    """What is said against contents that cannot be applied."""
    with pytest.raises(Refused) as refusal:
        await apply(database, *contents, **options)
    return [str(complaint) for complaint in refusal.value.complaints]


async def minimums(database: Database) -> set[tuple[str, str]]:
    """Everything that was narrowed."""
    organization_id = await here(database)
    return set(await database.read(lambda c: organizations.minimums(c, organization_id)))


def details(plans: list[OrganizationPlan]) -> list[Detail]:
    """The details of every change."""
    return [detail for plan in plans for change in plan.changes for detail in change.details]


async def secrets(database: Database) -> tuple[Any, ...]:
    """Every secret of the example as it is kept."""
    organization_id = await here(database)

    def read(c: Connection) -> tuple[Any, ...]:
        client = oauth.find_client(c, organization_id, "mobile")
        store = identity.find_user_store(c, organization_id, "EXTERNAL")
        user = identity.find_user(c, organization_id, "bob")
        assert client
        assert store
        assert user
        return client.secret_fingerprint, store.sealed.get("auth.basic.password"), user.updated_at

    return await database.read(read)
