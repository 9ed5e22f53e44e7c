"""Users of four stores call one API: each backend JWT names the right store, and scopes differ as groups do.

With any one of the stores hanging, users of the others log in as before.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.support import directory_server as ldap
from tests.support import sql_servers as sql
from tests.support.certificates import Authority
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER
from tests.system.administrator import claims_of
from tests.system.server import Server
from tests.system.stand_ins import Backend
from tests.system.waiting import until
from tests.system.world import SECRET, LoginServices, apply

PASSWORD = "secret"
INTROSPECT = "/t/my_company/oauth2/introspect"
ENDUSER = "http://wso2.org/claims/enduser"
PEOPLE = {
    "primary": ("bob", "bob@my_company", "read"),
    "ldap": ("CORP/testuser", "CORP/testuser@my_company", "write"),
    "sql": ("SHOP/testuser", "SHOP/testuser@my_company", "read write"),
    "rest": ("EXTERNAL/testuser", "EXTERNAL/testuser@my_company", "default"),
}


@dataclass
class Stage:
    """A server with one organization, its four stores and an API."""

    server: Server
    http: httpx2.Client
    backend: Backend
    directory: ldap.DirectoryServer
    services: Any

    def token(self, username: str, password: str = PASSWORD) -> httpx2.Response:
        form = {"grant_type": "password", "username": f"{username}@my_company", "password": password}
        form["scope"] = "read write"
        return self.http.post("/token", data=form, auth=("mobile", SECRET))

    def refresh(self, refresh_token: str) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.http.post("/token", data=form, auth=("mobile", SECRET))

    def is_active(self, token: str) -> bool:
        with self.server.management() as http:
            answer = http.post(INTROSPECT, data={"token": token}, auth=("mobile", SECRET))
        return bool(answer.json()["active"])

    def call(self, token: str, method: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.request(method, "/t/my_company/orders/1.0.0/", headers=headers)


def organization(directory: str, database: str, service: str, backend: str) -> dict[str, Any]:
    return {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "my_company"},
        "user_stores": [
            {
                "name": "CORP",
                "type": "ldap",
                "urls": [directory],
                "bind": {"dn": ldap.READER, "password": ldap.READER_PASSWORD},
                "users": {"base": ldap.PEOPLE},
                "groups": {"base": ldap.GROUPS},
                "ask_again_after_seconds": 0,
            },
            {
                "name": "SHOP",
                "type": "sql",
                "url": database,
                "password": sql.READER_PASSWORD,
                "user_query": sql.USER_QUERY,
                "groups_query": sql.GROUPS_QUERY,
            },
            {
                "name": "EXTERNAL",
                "type": "rest",
                "url": service,
                "auth": {"basic": {"username": SERVICE_USER, "password": SERVICE_PASSWORD}},
                "timeout_ms": 1000,
            },
        ],
        "users": [{"username": "bob", "password": PASSWORD, "roles": ["readers"]}],
        "roles": [
            {"name": "readers", "groups": ["SHOP/stars"]},
            {"name": "writers", "groups": ["CORP/sales", "SHOP/sales"]},
        ],
        "scopes": [{"name": "read", "roles": ["readers"]}, {"name": "write", "roles": ["writers"]}],
        "apis": [
            {
                "name": "Orders",
                "context": "/orders",
                "version": "1.0.0",
                "state": "PUBLISHED",
                "backend": {"production": [backend]},
                "plans": ["Unlimited"],
                "resources": [
                    {"method": "GET", "path": "/"},
                    {"method": "POST", "path": "/", "scopes": ["write"]},
                    {"method": "PUT", "path": "/", "scopes": ["read"]},
                ],
            }
        ],
        "applications": [
            {
                "name": "Mobile",
                "owner": "bob",
                "keys": {
                    "production": {
                        "client_id": "mobile",
                        "client_secret": SECRET,
                        "grant_types": ["password", "refresh_token"],
                    }
                },
                "subscriptions": [{"api": "Orders", "version": "1.0.0", "plan": "Unlimited"}],
            }
        ],
    }


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="ostiary-test-", dir="/tmp"))
    (folder / "slapd").mkdir()
    (folder / "postgresql").mkdir()
    directory = ldap.DirectoryServer(folder / "slapd", Authority()).start()
    directory.add(ldap.group("sales", "testuser"))
    database, services, backend = sql.PostgreSQL(folder / "postgresql"), LoginServices(), Backend()
    service = services.start(users={"testuser": PASSWORD})
    server = Server(folder / "data")
    try:
        server.start()
        where = (directory.url, database.url, service.url, f"http://127.0.0.1:{backend.port}")
        apply(server, folder, yaml.safe_dump(organization(*where)))
        with server.gateway() as http:
            yield Stage(server, http, backend, directory, service)
    finally:
        server.stop()
        services.close()
        directory.stop()
        database.stop()
        backend.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("store", PEOPLE)
def test_the_backend_is_told_whose_user_it_is_and_scopes_are_those_of_the_groups(stage: Stage, store: str):
    username, display, scope = PEOPLE[store]

    answer = stage.token(username)

    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    assert answer.json()["scope"] == scope
    passed = stage.call(token, "GET")
    told = dict(passed.json()["headers"])
    assert claims_of(told["x-jwt-assertion"])[ENDUSER] == display
    expected = {"POST": "write" in scope, "PUT": "read" in scope}
    for method, is_allowed in expected.items():
        called = stage.call(token, method)
        assert called.status_code == (200 if is_allowed else 403)
        assert is_allowed or called.json()["code"] == "900910"


def test_people_of_one_name_in_three_stores_are_three_people(stage: Stage):
    tokens = [stage.token(username).json()["access_token"] for username, *_ in PEOPLE.values()]

    assert len({claims_of(token)["sub"] for token in tokens}) == 4


def test_a_password_of_one_store_opens_no_other(stage: Stage):
    """The chain ends at the first store that knows the name, whoever else has it."""
    assert stage.token("testuser").json()["scope"] == "write"  # CORP is the first of those that know it
    assert stage.token("CORP/testuser", "another").status_code == 400
    assert stage.token("NOWHERE/testuser").status_code == 400


LEAVING: dict[str, Callable[[ldap.DirectoryServer, str], None]] = {
    "disabled": ldap.DirectoryServer.lock,
    "deleted": ldap.DirectoryServer.delete,
}


@pytest.mark.parametrize("how", LEAVING)
def test_who_leaves_the_directory_is_out_at_the_next_refresh(stage: Stage, how: str):
    """The refresh is refused, and so is every access token that is out: at introspection, at the gateway."""
    stage.directory.add(ldap.person(f"was-{how}"))
    first = stage.token(f"CORP/was-{how}").json()
    second = stage.refresh(first["refresh_token"]).json()
    assert stage.call(second["access_token"], "GET").status_code == 200

    LEAVING[how](stage.directory, f"was-{how}")
    refused = stage.refresh(second["refresh_token"])

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert [stage.is_active(body["access_token"]) for body in (first, second)] == [False, False]
    until(lambda: stage.call(second["access_token"], "GET").status_code == 401)


def test_a_store_that_is_gone_stops_nobody_else(stage: Stage):
    stage.services.mode = "hang"
    stage.directory.stop()
    try:
        answers = {store: stage.token(username).status_code for store, (username, *_) in PEOPLE.items()}
    finally:
        stage.directory.start()
        stage.services.mode = "check"

    assert answers == {"primary": 200, "ldap": 503, "sql": 200, "rest": 503}
    assert stage.token("CORP/testuser").status_code == 200  # and is back by itself
