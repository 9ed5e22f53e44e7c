"""A token, a password and a path at the guard of the whole product."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local

from ostiary.app import Settings, build_app
from ostiary.foundation.settings import InvalidSettings

PASSWORD, SECRET = "correct horse battery staple", "console-secret"
USERS = "/api/identity/v1/users"
LIST, LIST_NODE = "internal_user_mgt_list", "/permission/admin/manage/identity/usermgt/list"
Login = Callable[..., str]


def organization_file(name: str = "acme", *, permissions: tuple[str, ...] = (LIST_NODE,)) -> dict[str, Any]:
    """bob with the role `support`, alice without, and a marked client in each organization."""
    people: list[dict[str, Any]] = [{"username": who, "password": PASSWORD} for who in ("bob", "alice")]
    keys = {
        "client_id": f"console-{name}",
        "client_secret": SECRET,
        "grant_types": ["password", "client_credentials"],
        "internal_scopes": True,
    }
    return {
        "apiVersion": "ostiary/v1",
        "organization": {"name": name},
        "users": people,
        "roles": [{"name": "support", "permissions": list(permissions), "users": ["bob"]}],
        "applications": [{"name": "Console", "owner": "bob", "keys": {"production": keys}}],
    }


def apply(local: TestClient, *documents: dict[str, Any]) -> None:
    answer = local.post("/api/declarative/v1/apply", json={"documents": list(documents)})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def installation(settings: Settings) -> Iterator[TestClient]:
    """Two organizations with the same people, under the local administrator's hand."""
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as local:
        apply(local, organization_file(), organization_file("default"))
        yield local


@pytest.fixture
def http(settings: Settings, installation: TestClient) -> Iterator[TestClient]:
    """Anybody, at the same installation with passwords for tokens off as they are by default."""
    access = settings.access.model_copy(update={"basic_authentication": False})
    with TestClient(build_app(settings.model_copy(update={"access": access}))) as client:
        yield client


def log_in(http: TestClient, username: str, scope: str = "SYSTEM", organization: str = "acme") -> str:
    form = {"grant_type": "password", "username": username, "password": PASSWORD, "scope": scope}
    path = f"/t/{organization}/oauth2/token"
    answer = http.post(path, data=form, auth=(f"console-{organization}", SECRET))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def status(http: TestClient, token: str, path: str = f"/t/acme{USERS}") -> int:
    return http.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
def test_a_token_with_the_scope_of_a_user_with_the_permission_passes(
    installation: TestClient, http: TestClient, token_format: str
):
    content = organization_file()
    content["applications"][0]["keys"]["production"]["token_format"] = token_format
    apply(installation, content)

    token = log_in(http, "bob", LIST)

    answer = http.get(f"/t/acme{USERS}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert [user["username"] for user in answer.json()["users"]] == ["alice", "bob"]


def test_a_user_without_the_role_is_told_what_the_call_takes(http: TestClient):
    answer = http.get(f"/t/acme{USERS}", headers={"Authorization": f"Bearer {log_in(http, 'alice', LIST)}"})

    assert answer.status_code == 403
    assert f'error="insufficient_scope", scope="{LIST}"' in answer.headers["www-authenticate"]
    answer = http.get(f"/t/acme{USERS}", headers={"Authorization": f"Bearer {log_in(http, 'alice')}"})
    assert answer.status_code == 403
    assert LIST in answer.json()["description"]


def test_a_demoted_user_is_refused_whatever_the_token_says(installation: TestClient, http: TestClient):
    token = log_in(http, "bob", LIST)
    assert status(http, token) == 200

    apply(installation, organization_file(permissions=("/permission/admin/manage/identity/usermgt/view",)))

    assert status(http, token) == 403


def test_a_disabled_user_is_nobody(installation: TestClient, http: TestClient):
    token = log_in(http, "bob", LIST)
    assert status(http, token) == 200

    assert installation.put(f"/t/acme{USERS}/bob", json={"disabled": True}).status_code == 200

    assert status(http, token) == 401


def test_a_token_counts_in_its_own_organization_alone(http: TestClient):
    token = log_in(http, "bob", LIST)

    assert status(http, token, USERS) == 401
    assert status(http, token, f"/t/nowhere{USERS}") == 401
    assert status(http, log_in(http, "bob", LIST, "default"), f"/t/acme{USERS}") == 401


def test_a_token_of_the_gateway_opens_no_internal_api(installation: TestClient, http: TestClient):
    token = log_in(http, "bob", "default")

    assert status(http, token) == 403
    assert status(http, token, f"/t/acme{USERS}/bob") == 403


def test_a_client_that_acts_for_itself_has_the_roles_that_name_it(installation: TestClient, http: TestClient):
    content = organization_file()
    content["roles"][0]["clients"] = ["console-acme"]
    apply(installation, content)
    form = {"grant_type": "client_credentials", "scope": "SYSTEM"}

    answer = http.post("/t/acme/oauth2/token", data=form, auth=("console-acme", SECRET)).json()

    assert answer["scope"] == LIST
    assert status(http, answer["access_token"]) == 200


def test_a_password_in_place_of_a_token_is_off_unless_the_settings_say_so(
    settings: Settings, installation: TestClient, http: TestClient
):
    assert http.get(f"/t/acme{USERS}", auth=("bob", PASSWORD)).status_code == 401

    with TestClient(build_app(settings)) as with_basic:
        assert with_basic.get(f"/t/acme{USERS}", auth=("bob", PASSWORD)).status_code == 200
        assert with_basic.get(f"/t/acme{USERS}", auth=("alice", PASSWORD)).status_code == 403
        assert with_basic.get(f"/t/acme{USERS}", auth=("bob", "wrong")).status_code == 401


def test_an_operator_may_tighten_an_operation_by_name(settings: Settings, installation: TestClient):
    tight = {"operation": f"GET {USERS}", "permissions": ["/permission/admin"]}
    access = settings.access.model_copy(update={"overrides": ()}).model_dump() | {"overrides": [tight]}
    tightened = settings.model_copy(update={"access": type(settings.access).model_validate(access)})

    with TestClient(build_app(tightened)) as http:
        token = log_in(http, "bob", LIST)
        assert status(http, token) == 403
        assert status(http, token, f"/t/acme{USERS}/bob") == 403


def test_an_override_of_an_operation_that_is_not_there_stops_the_start(settings: Settings):
    access = type(settings.access).model_validate({"overrides": [{"operation": f"GET {USERS}s"}]})

    with pytest.raises(InvalidSettings, match=r"access\.overrides\.0\.operation: .*userss"):
        build_app(settings.model_copy(update={"access": access}))


PATH_FORMS = (
    "/t/acme/..;/default/api/identity/v1/users",
    "/t/acme/api/identity/v1/users/..;/users",
    "/t/acme/api/identity/v1;x=y/users",
    "/t/acme/api/identity/v1/%2e%2e/users",
    "/t/acme/api/identity/v1/%2E/users",
    "/t/acme/api/identity/v1/%2econfig",
    "/t/acme/api/identity/v1/..%2fusers",
    "/t/acme/api/identity/v1/%252e%252e/users",
    "/t/acme/api/identity/v1/users/%3bx",
    "/t/acme/api/identity/v1/users/b%25ob",
    "/t/acme/api/identity/v1/users/...",
    "/t/acme/api/identity/v1/users/b%00ob",
    "/t/acme/api/identity/v1/users/b%ffob",
    "/t/acme/api/identity/v1\\users",
    "/t/acme/api/identity/v1/users/%5cusers",
)


@pytest.mark.parametrize("path", PATH_FORMS)
def test_a_path_that_may_be_read_two_ways_is_a_400_before_anything_else(http: TestClient, path: str):
    """WSO2-2022-2177: dot segments and `;` in a path meant one thing to the guard and another behind it."""
    answer = http.get(path)

    assert answer.request.url.raw_path == path.encode()
    assert answer.status_code == 400
    assert answer.json()["code"] == "400"
    assert set(answer.json()) == {"code", "message", "description", "traceId"}


@pytest.mark.parametrize("name", ["a%20b", "b.ob", "%C3%A9"])
def test_an_ordinary_path_goes_on(http: TestClient, name: str):
    assert http.get(f"/t/acme{USERS}/{name}").status_code == 401
