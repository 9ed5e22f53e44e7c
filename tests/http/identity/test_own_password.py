"""/api/users/v1/me/change-password: somebody's own password, by who knows the old one."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.support.identity import World

from ostiary.app import Settings, build_app
from ostiary.identity.errors import PasswordIsElsewhere
from ostiary.identity.own_password import change_own_password
from ostiary.identity.repository import subjects
from ostiary.identity.user_stores.contract import UserRecord

OLD, NEW = "correct horse battery staple", "another one altogether"
CHANGE = "/t/acme/api/users/v1/me/change-password"
CLIENT = ("app", "secret-of-app")


@pytest.fixture
def http(settings: Settings) -> Iterator[TestClient]:
    """`acme` with bob and eve, and a client that gets refresh tokens and `internal_login`."""
    users = [{"username": name, "password": OLD} for name in ("bob", "eve")]
    grants = ["password", "refresh_token"]
    keys = {"client_id": "app", "client_secret": CLIENT[1], "grant_types": grants, "internal_scopes": True}
    document = {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "acme"},
        "users": users,
        "applications": [{"name": "App", "owner": "bob", "keys": {"production": keys}}],
    }
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as local:
        applied = local.post("/api/declarative/v1/apply", json={"documents": [document]})
        assert applied.status_code == 200, applied.text
    with TestClient(build_app(settings), raise_server_exceptions=False) as client:
        yield client


def token(http: TestClient, status: int = 200, **form: str) -> dict[str, Any]:
    form = {"grant_type": "password", "username": "bob", "scope": "internal_login", **form}
    answer = http.post("/t/acme/oauth2/token", data=form, auth=CLIENT)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def change(http: TestClient, bearer: str, current: Any, new: Any) -> Any:
    body = {"currentPassword": current, "newPassword": new}
    return http.post(CHANGE, json=body, headers={"Authorization": f"Bearer {bearer}"})


def test_who_knows_the_old_password_sets_a_new_one_and_everything_else_ends(http: TestClient) -> None:
    """Refresh tokens too: whoever stole one would keep what the change was to end."""
    stolen, eves = token(http, password=OLD), token(http, username="eve", password=OLD)

    answer = change(http, token(http, password=OLD)["access_token"], OLD, NEW)

    assert (answer.status_code, answer.content) == (204, b"")
    token(http, 400, password=OLD)
    token(http, password=NEW)
    assert change(http, stolen["access_token"], NEW, "x").status_code == 401
    token(http, 400, grant_type="refresh_token", refresh_token=stolen["refresh_token"])
    token(http, grant_type="refresh_token", refresh_token=eves["refresh_token"])
    token(http, username="eve", password=OLD)


def test_the_wrong_old_password_is_refused_and_counted_like_a_login(http: TestClient) -> None:
    """A stolen token is not a way to try passwords: not even the right one passes then."""
    bearer = token(http, password=OLD)["access_token"]

    guesses = [change(http, bearer, f"guess {number}", NEW) for number in range(6)]
    right = change(http, bearer, OLD, NEW)

    for answer in [*guesses, right]:
        assert (answer.status_code, answer.json()["code"]) == (400, "PWD-10001")
    assert len({answer.json()["description"] for answer in [*guesses, right]}) == 1
    token(http, password=OLD)


@pytest.mark.parametrize(
    ("current", "new", "code"),
    [
        (OLD, "", "PWD-10003"),
        (OLD, "   ", "PWD-10003"),
        (OLD, "nul\x00", "PWD-10003"),
        (OLD, "a" * 1025, "PWD-10003"),
        (OLD, OLD, "PWD-10003"),
        ("", NEW, "PWD-10001"),
        ("a" * 5000, NEW, "PWD-10001"),
        (None, NEW, "400"),
        (OLD, ["x"], "400"),
    ],
)
def test_what_cannot_be_changes_nothing(http: TestClient, current: Any, new: Any, code: str) -> None:
    answer = change(http, token(http, password=OLD)["access_token"], current, new)

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert OLD not in answer.text
    token(http, password=OLD)


def test_a_client_that_acts_for_itself_has_no_password(http: TestClient, settings: Settings) -> None:
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as local:
        answer = local.post(CHANGE, json={"currentPassword": OLD, "newPassword": NEW})

    assert answer.status_code == 403
    assert http.post(CHANGE, json={}).status_code == 401


async def test_somebody_of_an_outside_store_is_told_where_the_password_is(world: World) -> None:
    here = world.organization.id
    record = UserRecord("7", "testuser")
    subject, _ = await world.database.write(
        lambda c: subjects.see(c, here, "store-1", "EXTERNAL", record, world.clock())
    )

    with pytest.raises(PasswordIsElsewhere, match="EXTERNAL: change it there"):
        await change_own_password(
            world.database,
            world.authentication,
            world.organization,
            subject.id,
            SecretStr(OLD),
            SecretStr(NEW),
            world.clock,
        )
