"""DELETE /api/server/v1/tenants/{id}: from the answer on, an organization is nobody's any more (ADR 0023)."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text
from starlette.testclient import TestClient
from tests.http.gateway.platform import Clock, Platform, Where
from tests.http.test_audit import records_of
from tests.http.test_every_route import PASSWORD, basic, make_administrator
from tests.support.identity import until as reached
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER, LoginService
from tests.system.waiting import until
from typer.testing import CliRunner

from ostiary import cli
from ostiary.app import Settings, build_app
from ostiary.foundation.audit import chain_staged, drop_older, sign_checkpoints
from ostiary.foundation.audit.tables import (
    audit_checkpoints,
    audit_log,
    audit_person_keys,
    audit_signing_keys,
)
from ostiary.foundation.database import metadata, write_engine
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.gateway.plan import GatewayPlan, PlanAnswer
from ostiary.organizations import forget_logs_of_removed
from ostiary.organizations.removing import KEPT, SETTLED_AFTER

TENANTS = "/api/server/v1/tenants"
INTERNAL = "/internal/gateway/v1"
ADMIN = basic("admin", PASSWORD)
KIM_PASSWORD, SECRET = "kims-own-password-1", "s3cret-of-the-shop"
SHOP: dict[str, Any] = {
    "apiVersion": "ostiary/v1",
    "organization": {"name": "shop"},
    "users": [{"username": "kim", "password": KIM_PASSWORD, "roles": ["admin"]}],
    "roles": [{"name": "clerk", "users": ["kim"]}],
    "scopes": [{"name": "orders:write", "roles": ["clerk"]}],
    "apis": [
        {
            "name": "Orders",
            "context": "/orders",
            "version": "1.0.0",
            "state": "PUBLISHED",
            "backend": {"production": ["http://127.0.0.1:9"]},
            "plans": ["Gold"],
            "resources": [{"method": "GET", "path": "/*"}],
        }
    ],
    "applications": [
        {
            "name": "Till",
            "owner": "kim",
            "keys": {
                "production": {
                    "client_id": "till",
                    "client_secret": SECRET,
                    "grant_types": ["password", "client_credentials", "refresh_token"],
                    "internal_scopes": True,
                }
            },
            "subscriptions": [{"api": "Orders", "version": "1.0.0", "plan": "Gold"}],
        }
    ],
}


@dataclass
class Site:
    """An installation with the organization `shop`, and who calls it."""

    http: TestClient
    clock: Clock
    settings: Settings
    node: str = ""

    def local(self, method: str, path: str, **more: Any) -> Any:
        return self.http.request(method, path, headers={"X-Test-Socket": "local_administrator"}, **more)

    def admin(self, method: str, path: str, **more: Any) -> Any:
        """The administrator of `default`."""
        return self.http.request(method, path, headers={"Authorization": ADMIN}, **more)

    def apply(self, document: dict[str, Any]) -> Any:
        return self.local("POST", "/api/declarative/v1/apply", json={"documents": [document]})

    def id(self, name: str = "shop") -> str:
        return str(self.admin("GET", f"{TENANTS}/domain/{name}").json()["id"])

    def token(self, **form: str) -> Any:
        form = {"grant_type": "password", "username": "kim", "password": KIM_PASSWORD, **form}
        return self.http.post("/token", data=form, auth=("till", SECRET))

    def is_gone(self) -> bool:
        return bool(self.local("HEAD", f"{TENANTS}/domain/shop").status_code == 404)

    def remove(self) -> str:
        identifier = self.id()
        assert self.admin("DELETE", f"{TENANTS}/{identifier}").status_code == 204
        return identifier

    def remove_whole(self) -> str:
        """Until its name is free."""
        identifier = self.remove()
        self.clock.now += SETTLED_AFTER
        until(self.is_gone, seconds=30, what="the name of the removed organization being free")
        return identifier

    def enrol(self) -> None:
        """A gateway node, which `nodes` then calls as."""
        platform = Platform(self.http, self.settings, self.clock)
        self.node = platform.enrolled()

    def nodes(self, method: str, path: str) -> Any:
        return Platform(self.http, self.settings, self.clock).nodes(method, path, self.node)

    def query(self, unit: Any) -> Any:
        engine = write_engine(self.settings.database)
        with engine.begin() as connection:
            found = unit(connection)
        engine.dispose()
        return found


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    make_administrator(settings)
    clock = Clock()
    with TestClient(Where(build_app(settings, clock)), raise_server_exceptions=False) as http:
        made = Site(http, clock, settings)
        answer = made.apply(SHOP)
        assert answer.status_code == 200, answer.text
        yield made


def as_kim(site: Site, method: str, path: str, token: str) -> int:
    return int(site.http.request(method, path, headers={"Authorization": f"Bearer {token}"}).status_code)


def test_everything_of_it_ends_with_the_answer(site: Site) -> None:
    token = site.token(scope="openid SYSTEM").json()
    before = [
        as_kim(site, "GET", "/t/shop/api/identity/v1/users", token["access_token"]),
        site.http.get("/t/shop/oauth2/jwks").status_code,
        site.token(grant_type="client_credentials").status_code,
    ]
    assert before == [200, 200, 200]

    site.remove()

    refused = site.token()
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert site.token(grant_type="client_credentials").status_code == 401
    assert site.token(grant_type="refresh_token", refresh_token=token["refresh_token"]).status_code == 401
    assert as_kim(site, "GET", "/t/shop/api/identity/v1/users", token["access_token"]) == 401
    assert site.local("GET", "/t/shop/api/identity/v1/users").status_code == 401
    for path in ("/oauth2/jwks", "/jwks", "/gateway/jwks", "/.well-known/oauth-authorization-server"):
        assert site.http.get(f"/t/shop{path}").status_code == 404, path
    assert site.admin("GET", f"{TENANTS}/domain/shop").status_code == 404
    assert [one["domain"] for one in site.admin("GET", TENANTS).json()["tenants"]] == ["acme", "default"]


def test_the_removed_one_cannot_be_changed_or_removed_again(site: Site) -> None:
    identifier = site.remove()

    assert site.admin("GET", f"{TENANTS}/{identifier}").status_code == 404
    assert site.admin("PUT", f"{TENANTS}/{identifier}", json={"displayName": "S"}).status_code == 404
    assert site.admin("DELETE", f"{TENANTS}/{identifier}").status_code == 404


@pytest.mark.parametrize("identifier", ["no-such-id", "a" * 300, "%F0%9F%A6%8A", "shop"])
def test_who_is_not_there_cannot_be_removed(site: Site, identifier: str) -> None:
    assert site.admin("DELETE", f"{TENANTS}/{identifier}").status_code == 404
    assert site.admin("GET", f"{TENANTS}/domain/shop").status_code == 200


def test_the_organization_that_runs_the_installation_stays(site: Site) -> None:
    answer = site.admin("DELETE", f"{TENANTS}/{site.id('default')}")

    assert answer.status_code == 409
    assert answer.json()["description"] == (
        "the organization default runs the installation: it cannot be removed"
    )
    assert site.admin("GET", TENANTS).status_code == 200


def test_its_own_administrator_cannot_remove_it_or_another(site: Site) -> None:
    kim = {"Authorization": basic("kim", KIM_PASSWORD)}

    for path in (f"{TENANTS}/{site.id()}", f"/t/shop{TENANTS}/{site.id()}", f"{TENANTS}/{site.id('acme')}"):
        assert site.http.delete(path, headers=kim).status_code in (401, 404), path
    assert site.admin("GET", TENANTS).json()["totalResults"] == 3


def test_its_name_is_taken_until_everything_is_gone(site: Site) -> None:
    site.remove()

    again = site.admin("POST", TENANTS, json={"domain": "shop"})
    applied = site.apply({"apiVersion": "ostiary/v1", "organization": {"name": "shop"}})

    assert (site.admin("HEAD", f"{TENANTS}/domain/shop").status_code, again.status_code) == (200, 409)
    assert applied.status_code == 400
    assert "is being removed" in applied.text
    assert site.local("GET", "/api/declarative/v1/organizations/shop").status_code in (400, 404)


def test_an_organization_of_the_same_name_shares_nothing(site: Site) -> None:
    """The name is free, and the identifiers that were somebody's: client id, names of users, paths."""
    old = site.token(scope="SYSTEM").json()
    old_keys = {key["kid"] for key in site.http.get("/t/shop/oauth2/jwks").json()["keys"]}
    old_id = site.remove_whole()

    assert site.apply(SHOP).status_code == 200

    new = site.token(scope="SYSTEM").json()
    new_keys = {key["kid"] for key in site.http.get("/t/shop/oauth2/jwks").json()["keys"]}
    assert site.id() != old_id
    assert new_keys
    assert not old_keys & new_keys
    assert as_kim(site, "GET", "/t/shop/api/identity/v1/users", new["access_token"]) == 200
    assert as_kim(site, "GET", "/t/shop/api/identity/v1/users", old["access_token"]) == 401
    assert site.token(grant_type="refresh_token", refresh_token=old["refresh_token"]).status_code == 400
    introspected = site.http.post(
        "/oauth2/introspect", data={"token": old["access_token"]}, auth=("till", SECRET)
    )
    assert introspected.json() == {"active": False}


def test_nothing_of_it_is_in_the_database_but_its_log_without_people(site: Site) -> None:
    site.token(password="a wrong password")
    site.token()
    identifier = site.remove_whole()

    def left(connection: Connection) -> set[str]:
        return {
            table.name
            for table in metadata.sorted_tables
            if "organization_id" in table.c
            and connection.execute(select(table).where(table.c.organization_id == identifier)).first()
        }

    assert site.query(left) <= set(KEPT)
    assert "audit_log" in site.query(left)


def log_rows(connection: Connection, identifier: str) -> dict[str, int]:
    tables = (audit_log, audit_checkpoints, audit_signing_keys, audit_person_keys)
    return {
        table.name: connection.execute(
            select(func.count()).select_from(table).where(table.c.organization_id == identifier)
        ).scalar_one()
        for table in tables
    }


def test_who_removed_it_is_in_the_log_of_default(site: Site) -> None:
    identifier = site.remove()

    (record,) = (
        one for one in records_of(site.settings, "default") if one["action"] == "organization.deleted"
    )
    assert record["target"] == {"kind": "organization", "id": "shop"}
    assert record["before"]["id"] == identifier
    assert "after" not in record
    assert record["actor"]["kind"] == "user"


def test_its_own_log_still_verifies_and_names_nobody_until_it_is_too_old(site: Site) -> None:
    site.token()
    identifier = site.remove_whole()
    box = SecretBox(load_or_create_key(site.settings.data_dir / "secret.key"))

    def tend(connection: Connection) -> None:
        while chain_staged(connection, box):
            pass
        sign_checkpoints(connection, box, site.clock(), timedelta(0))
        forget_logs_of_removed(connection)

    site.query(tend)
    said = CliRunner().invoke(
        cli.app, ["audit", "export", identifier, "--data-dir", str(site.settings.data_dir)]
    )
    verified = CliRunner().invoke(cli.app, ["audit", "verify", "--data-dir", str(site.settings.data_dir)])
    assert "organization.deleted" in said.output
    assert "$erased" in said.output
    assert "kim" not in said.output.replace('"owner":"kim"', "")
    assert verified.exit_code == 0, verified.output
    assert f"{identifier} (removed): " in verified.output

    def much_later(connection: Connection) -> dict[str, int]:
        while drop_older(connection, box, site.clock() + timedelta(days=401)):
            pass
        forget_logs_of_removed(connection)
        return log_rows(connection, identifier)

    assert set(site.query(much_later).values()) == {0}


async def test_a_login_that_ends_after_the_removal_gets_and_leaves_nothing(site: Site) -> None:
    """The store says yes when the organization is gone already."""
    service = await LoginService().start()
    service.mode = "hold"
    auth = {"basic": {"username": SERVICE_USER, "password": SERVICE_PASSWORD}}
    store = {"name": "EXTERNAL", "type": "rest", "url": service.url, "auth": auth, "timeout_ms": 20_000}
    assert site.local("POST", "/t/shop/api/identity/v1/user-stores", json=store).status_code == 201
    login = asyncio.create_task(asyncio.to_thread(site.token, username="EXTERNAL/pat"))
    await reached(lambda: service.open_requests == 1, 20)
    identifier = await asyncio.to_thread(site.remove)

    service.released.set()

    answer = await login
    await service.stop()
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    written = [metadata.tables[name] for name in ("token_families", "refresh_tokens", "access_tokens")]
    seen = select(metadata.tables["subjects"]).where(text("store = 'EXTERNAL'"))
    for query in (*(select(table).where(table.c.organization_id == identifier) for table in written), seen):
        assert site.query(lambda c, query=query: c.execute(query).first()) is None


def test_gateway_nodes_forget_all_of_it_and_nothing_else(site: Site) -> None:
    """What a node has after the changes is what it would be given anew."""

    def plan(after: str) -> PlanAnswer:
        return PlanAnswer.from_wire(site.nodes("GET", f"{INTERNAL}/plan{after}").json())

    site.enrol()
    before = plan("").next_plan(GatewayPlan())
    assert {api.context for api in before.apis.values()} == {"/orders"}

    identifier = site.remove()
    at_once = plan(f"?after={before.number}").next_plan(before)
    site.clock.now += SETTLED_AFTER
    until(site.is_gone, seconds=30, what="the name of the removed organization being free")
    after = plan(f"?after={at_once.number}").next_plan(at_once)

    assert identifier not in at_once.organizations
    assert after == plan("").next_plan(GatewayPlan())
    assert identifier not in repr(after)
