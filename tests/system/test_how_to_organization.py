"""Pages about an organization's people, roles, clients and keys: what stands there is applied and run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.support.login_service import SERVICE_PASSWORD, LoginService
from tests.system.administrator import Administrator, claims_of
from tests.system.conftest import MakeServer
from tests.system.pages import blocks, commands, perform
from tests.system.server import ADMIN_PASSWORD, Server
from tests.system.test_how_to_user_stores import InBackground

ORGANIZATION = "my_company"
PASSWORD = "correct horse battery staple"
NEW_PASSWORD = "another horse battery staple"
SECRET = "secret-of-the-console"
OUTSIDE_PASSWORD = "secret"


@pytest.fixture
def outside() -> Iterator[str]:
    """The address of a login service that knows `testuser` and `ann`."""
    service = InBackground(LoginService({"testuser": OUTSIDE_PASSWORD, "ann": OUTSIDE_PASSWORD}))
    yield service.url
    service.stop()


@pytest.fixture
def server(a_server: MakeServer) -> Server:
    """With a console in two organizations, through which people get whatever they qualify for."""
    server = a_server().start()
    for organization, owner in (("default", "admin"), (ORGANIZATION, "boss")):
        people = [{"username": name, "password": PASSWORD} for name in ("boss", "hugo", "jane", "bob")]
        Administrator(server.directory, organization).apply(
            users=people if organization != "default" else [],
            roles=[{"name": "admin", "users": [owner]}],
            applications=[a_console(f"{organization}.console", owner)],
        )
    return server


def a_console(client_id: str, owner: str) -> dict[str, Any]:
    """An application through which people ask for internal scopes."""
    keys = {"client_id": client_id, "client_secret": SECRET, "internal_scopes": True}
    keys |= {"grant_types": ["password", "refresh_token"], "scopes": None}
    said = {key: value for key, value in keys.items() if value is not None}
    return {"name": "Console", "owner": owner, "keys": {"production": said}}


def ask(server: Server, organization: str, path: str, **form: str) -> httpx2.Response:
    """A request of the console at an OAuth endpoint."""
    url = f"https://localhost:{server.management_port}/t/{organization}/oauth2/{path}"
    return httpx2.post(url, data=form, auth=(f"{organization}.console", SECRET), verify=server.trust())


def log_in(server: Server, username: str, organization: str = ORGANIZATION, password: str = PASSWORD) -> Any:
    """What the token endpoint answers to somebody who asks for everything."""
    said = {"grant_type": "password", "username": username, "password": password, "scope": "SYSTEM"}
    answer = ask(server, organization, "token", **said)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refresh(server: Server, session: Any) -> str | None:
    """The error that somebody gets who refreshes; None where there is none."""
    form = {"grant_type": "refresh_token", "refresh_token": session["refresh_token"]}
    error: str | None = ask(server, ORGANIZATION, "token", **form).json().get("error")
    return error


def call(server: Server, token: str, method: str, path: str, body: Any = None) -> httpx2.Response:
    """A call of the management listener with a token."""
    url = f"https://localhost:{server.management_port}{path}"
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.request(method, url, json=body, headers=headers, verify=server.trust())


def test_an_organization_is_made_with_its_first_administrator(server: Server):
    token = log_in(server, "admin", "default", ADMIN_PASSWORD)["access_token"]
    command = blocks("make-an-organization", "sh")[0]

    made = json.loads(perform(server, command.replace("…", PASSWORD), TOKEN=token))

    tenants = "/api/server/v1/tenants"
    assert call(server, token, "GET", f"{tenants}/{made['id']}").json()["domain"] == "shop"
    assert call(server, token, "GET", f"{tenants}/domain/shop").json()["id"] == made["id"]
    taken, free = (call(server, token, "HEAD", f"{tenants}/domain/{name}") for name in ("shop", "free"))
    assert (taken.status_code, free.status_code) == (200, 404)
    changed = call(server, token, "PUT", f"{tenants}/{made['id']}", {"displayName": "Another Shop"})
    assert changed.is_success, changed.text
    listed = call(server, token, "GET", f"{tenants}?limit=100&offset=0").text
    assert "Another Shop" in listed
    Administrator(server.directory, "shop").apply(applications=[a_console("shop.console", "kim")])
    assert "internal_user_mgt_list" in log_in(server, "kim", "shop")["scope"].split()


def test_sessions_are_listed_and_ended_and_a_password_is_changed(server: Server):
    page = "end-sessions"
    list_and_end, change = blocks(page, "sh")
    first, second = log_in(server, "jane"), log_in(server, "jane")
    token, subject = log_in(server, "boss")["access_token"], claims_of(first["access_token"])["sub"]

    said = perform(server, list_and_end, TOKEN=token, USER_ID=subject)

    listed, _ = json.JSONDecoder().raw_decode(said)
    assert len(listed["sessions"]) == 2
    assert [refresh(server, session) for session in (first, second)] == ["invalid_grant", "invalid_grant"]

    mine = log_in(server, "jane")
    change = change.replace("…", PASSWORD, 1).replace("…", NEW_PASSWORD, 1)
    perform(server, change, TOKEN=mine["access_token"])
    assert refresh(server, mine) == "invalid_grant"
    log_in(server, "jane", password=NEW_PASSWORD)


def test_a_name_in_a_role_is_pinned_and_let_go(server: Server, outside: str):
    page = "give-roles"
    roles = yaml.safe_load(blocks(page, "yaml")[0])["roles"]
    store = {"name": "EXTERNAL", "type": "rest", "url": outside}
    store["auth"] = {"basic": {"username": "gateway", "password": SERVICE_PASSWORD}}
    administrator = Administrator(server.directory, ORGANIZATION)
    administrator.apply(
        user_stores=[store], roles=roles, scopes=[{"name": "orders:write", "roles": ["clerk"]}]
    )
    said = {"username": "testuser", "password": OUTSIDE_PASSWORD, "scope": "orders:write"}
    given = ask(server, ORGANIZATION, "token", grant_type="password", **said).json()
    place = ("DIR", str(server.directory))
    pins, release = ([word.replace(*place) for word in one] for one in commands(page, "ostiary pins"))

    before, released, after = (server.ostiary(*one) for one in (pins, release, pins))

    assert given["scope"] == "orders:write"
    assert "EXTERNAL/testuser" in before.stdout
    assert released.returncode == 0, released.stderr
    assert claims_of(given["access_token"])["sub"] not in after.stdout


def test_an_application_asks_the_stores_it_lists(server: Server, outside: str):
    page = "say-whose-users-an-application-takes"
    store = {"name": "CUSTOMERS", "type": "rest", "url": outside}
    store["auth"] = {"basic": {"username": "gateway", "password": SERVICE_PASSWORD}}
    (file,) = blocks(page, "yaml")
    content = yaml.safe_load(file.replace("{env: SHOP_SECRET}", SECRET))
    Administrator(server.directory, ORGANIZATION).apply(user_stores=[store], **content)
    ((*trace,),) = commands(page, "ostiary trace")
    rehearsed = [word.replace("DIR", str(server.directory)) for word in trace]

    done = server.ostiary(*rehearsed, OSTIARY_TRACE_PASSWORD=OUTSIDE_PASSWORD)

    assert "CUSTOMERS" in done.stdout, done.stderr + done.stdout


def test_keys_are_rotated_as_a_routine_and_at_once(server: Server):
    url = f"https://localhost:{server.management_port}/t/{ORGANIZATION}/oauth2/jwks"

    def kids() -> set[str]:
        return {key["kid"] for key in httpx2.get(url, verify=server.trust()).json()["keys"]}

    token, before = log_in(server, "boss")["access_token"], kids()
    everything, one, at_once = (
        [word.replace("DIR", str(server.directory)).replace("NAME", ORGANIZATION) for word in words]
        for words in commands("rotate-keys", "ostiary keys")
    )

    assert server.ostiary(*everything).returncode == 0
    announced = kids()
    assert server.ostiary(*one).returncode == 0
    assert (before < announced, kids()) == (True, announced)
    assert server.ostiary(*at_once).returncode == 0
    assert not kids() & announced
    assert call(server, token, "GET", f"/t/{ORGANIZATION}/api/identity/v1/users").status_code == 401


def test_a_department_s_users_are_delegated_and_an_administrator_s_password_is_not(server: Server):
    page = "say-who-may-administer"
    (part,) = (
        part
        for part in map(yaml.safe_load, blocks(page, "yaml"))
        if [role["name"] for role in part["roles"]] == ["helpdesk"]
    )
    Administrator(server.directory, ORGANIZATION).apply(**part)
    token, users = log_in(server, "hugo")["access_token"], f"/t/{ORGANIZATION}/api/identity/v1/users"

    made = call(server, token, "POST", users, {"username": "new", "password": PASSWORD})
    reset = call(server, token, "PUT", f"{users}/new", {"password": NEW_PASSWORD})
    refused = call(server, token, "PUT", f"{users}/boss", {"password": NEW_PASSWORD})

    assert made.status_code == 201, made.text
    assert reset.is_success, reset.text
    assert refused.status_code == 403
    assert "/permission/admin" in refused.text
    log_in(server, "new", password=NEW_PASSWORD)
    log_in(server, "boss")


def test_what_a_page_says_of_who_may_call_is_what_an_api_then_has(server: Server):
    page = "say-who-may-call"
    parts = map(yaml.safe_load, blocks(page, "yaml"))
    said = {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
    denied = said.pop("deny")
    orders = {"name": "Orders", "context": "/orders", "version": "1.0.0", "state": "PUBLISHED"}
    orders |= {"backend": {"production": ["http://127.0.0.1:9701"]}, "plans": ["Gold"]}
    subscriptions = [{"api": "Orders", "version": "1.0.0", "plan": "Gold"}]
    administrator = Administrator(server.directory, ORGANIZATION)
    administrator.apply(
        user_stores=[{"name": "EXTERNAL", "type": "rest", "url": "http://127.0.0.1:9700/authenticate"}],
        roles=[{"name": "clerk", "users": ["boss"]}],
        apis=[orders | said],
        applications=[{"name": "Mobile", "owner": "bob", "subscriptions": subscriptions}],
        deny=denied,
    )
    api_key, scope = blocks(page, "sh")
    applications = administrator.ask("GET", "/apim/v1/applications")["items"]
    (known,) = (one["id"] for one in applications if one["name"] == "Mobile")

    key = json.loads(perform(server, api_key.replace("APPLICATION", known)))
    made = json.loads(perform(server, scope, TOKEN=log_in(server, "boss")["access_token"]))

    assert "ostiary_key_" in json.dumps(key)
    assert (made["name"], made["bindings"]) == ("orders:write", ["clerk"])
    exported = server.ostiary("export", ORGANIZATION)
    assert len(yaml.safe_load(exported.stdout)["deny"]) == len(denied)


def test_a_login_service_is_connected_by_the_page_s_file(server: Server, outside: str, tmp_path: Path):
    page = "connect-a-rest-login-service"
    store, roles = blocks(page, "yaml")
    store = store.replace("https://login.example.com/authenticate", outside).replace("*@example.com", "*")
    file = tmp_path / "organization.yaml"
    file.write_text(store + roles)

    for command in commands(page, "ostiary apply"):
        applied = run(server, command, file, EXTERNAL_STORE_PASSWORD=SERVICE_PASSWORD)

    assert "+ user store EXTERNAL" in applied
    said = {"username": "testuser@my_company", "password": OUTSIDE_PASSWORD, "scope": "orders:write"}
    given = ask(server, ORGANIZATION, "token", grant_type="password", **said)
    assert given.json()["scope"] == "orders:write"


def test_a_file_is_applied_pruned_and_exported_as_the_page_says(server: Server, tmp_path: Path):
    page = "write-an-organization-file"
    limits = yaml.safe_load(next(block for block in blocks(page, "yaml") if "plans:" in block))
    limits["apis"][0] |= {"context": "/orders", "version": "1.0.0"}
    file = tmp_path / "organization.yaml"
    head = {"apiVersion": "ostiary/v1", "organization": {"name": ORGANIZATION}}
    file.write_text(yaml.safe_dump(head | limits))
    foreseen, made, again, _, pruned = (run(server, one, file) for one in commands(page, "ostiary apply"))
    for command in commands(page, "ostiary export"):
        run(server, command, tmp_path / "export.yaml")
    names = dict.fromkeys(("MY_COMPANY_CONSOLE_SECRET",), "x")
    same = run(server, ["apply", "-f", "organization.yaml"], tmp_path / "export.yaml", **names)

    assert "+ plan Partner" in foreseen
    assert "+ plan Partner" in made
    assert "nothing to change" in again
    assert "- application Console" in pruned
    assert "nothing to change" in same


def run(server: Server, command: list[str], file: Path, **environment: str) -> str:
    """A command of a page about this server and file; what it said."""
    places = {"DIR": str(server.directory), "organization.yaml": str(file)}
    done = server.ostiary(*(places.get(word, word) for word in command), **environment)
    assert done.returncode == 0, done.stderr + done.stdout
    return " ".join(done.stdout.split())
