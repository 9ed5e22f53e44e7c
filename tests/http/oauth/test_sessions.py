"""/api/users/v1/{user-id}/sessions and /api/users/v1/me/sessions."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.http.oauth.installation import NOON, Installation
from tests.http.permissions.test_escalation import PASSWORD as PASSWORD_HERE

from ostiary.app import Settings, build_app
from ostiary.identity import id_of_name

USERS = "/t/my_company/api/users/v1"
ADMIN = {"X-Caller": "admin"}
NOBODY = "00000000-0000-4000-8000-000000000000"


async def subject_of(installation: Installation, name: str = "bob") -> str:
    here = installation.organization.id
    found = await installation.database.read(lambda c: id_of_name(c, here, name))
    assert found is not None
    return found


async def sessions(installation: Installation, subject: str, **query: int) -> Any:
    answer = await installation.http.get(f"{USERS}/{subject}/sessions", params=query, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json()["sessions"]


def milliseconds(after: timedelta = timedelta(0)) -> str:
    return str(round((NOON + after).timestamp() * 1_000))


async def test_a_login_is_a_session_and_shows_no_token(on_both: Installation):
    await on_both.a_client()
    await on_both.world.user("bob")
    token = await on_both.password_token()
    subject = await subject_of(on_both)
    on_both.clock.advance(timedelta(minutes=1))
    again = (await on_both.refresh(token["refresh_token"])).json()

    answer = await on_both.http.get(f"{USERS}/{subject}/sessions", headers=ADMIN)

    (session,) = answer.json()["sessions"]
    assert session.pop("id")
    assert int(session.pop("expiryTime")) > int(milliseconds(timedelta(minutes=1)))
    assert answer.json()["userId"] == subject
    assert session == {
        "userId": subject,
        "applications": [{"id": "mobile", "appId": "mobile", "appName": "mobile", "subject": "bob"}],
        "scope": "default",
        "loginTime": milliseconds(),
        "lastAccessTime": milliseconds(timedelta(minutes=1)),
    }
    for issued in (token, again):
        assert issued["refresh_token"] not in answer.text
        assert issued["access_token"] not in answer.text


async def test_ending_one_ends_its_tokens_and_no_others(on_both: Installation):
    await on_both.a_client()
    await on_both.world.user("bob")
    first, second = await on_both.password_token(), await on_both.password_token()
    subject = await subject_of(on_both)
    (one, other) = await sessions(on_both, subject)

    ended = await on_both.http.delete(f"{USERS}/{subject}/sessions/{one['id']}", headers=ADMIN)

    assert ended.status_code == 204
    assert [session["id"] for session in await sessions(on_both, subject)] == [other["id"]]
    good = [(await on_both.introspect(token["access_token"]))["active"] for token in (first, second)]
    assert sorted(good) == [False, True]
    refreshed = [(await on_both.refresh(token["refresh_token"])).status_code for token in (first, second)]
    assert refreshed == [200 if is_good else 400 for is_good in good]
    again = await on_both.http.delete(f"{USERS}/{subject}/sessions/{one['id']}", headers=ADMIN)
    assert again.status_code == 404


async def test_ending_all_ends_every_token_of_the_user_and_nobody_elses(on_both: Installation):
    """Those too that came without a refresh token, and are in no session."""
    await on_both.a_client()
    await on_both.a_client("kiosk", grant_types=frozenset({"password"}))
    await on_both.world.user("bob")
    await on_both.world.user("eve")
    tokens = [await on_both.password_token(), await on_both.password_token(by="kiosk")]
    eves = await on_both.password_token("eve")
    subject = await subject_of(on_both)

    ended = await on_both.http.delete(f"{USERS}/{subject}/sessions", headers=ADMIN)

    assert ended.status_code == 204
    assert await sessions(on_both, subject) == []
    assert [(await on_both.introspect(token["access_token"]))["active"] for token in tokens] == [False, False]
    assert (await on_both.refresh(tokens[0]["refresh_token"])).status_code == 400
    assert (await on_both.introspect(eves["access_token"]))["active"] is True
    assert (await on_both.introspect((await on_both.password_token())["access_token"]))["active"] is True


async def test_what_is_over_is_no_session(installation: Installation):
    await installation.a_client(refresh_token_lifetime=timedelta(hours=2))
    await installation.world.user("bob")
    await installation.password_token()
    subject = await subject_of(installation)
    assert len(await sessions(installation, subject)) == 1

    installation.clock.advance(timedelta(hours=3))

    assert await sessions(installation, subject) == []


async def test_sessions_are_listed_the_newest_first_a_page_at_a_time(installation: Installation):
    await installation.a_client()
    await installation.world.user("bob")
    for _ in range(3):
        await installation.password_token()
        installation.clock.advance(timedelta(minutes=1))
    subject = await subject_of(installation)

    whole = await sessions(installation, subject)

    assert [one["loginTime"] for one in whole] == [milliseconds(timedelta(minutes=m)) for m in (2, 1, 0)]
    assert await sessions(installation, subject, offset=1, limit=1) == whole[1:2]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("user", [NOBODY, "me2", "x" * 500])
async def test_somebody_who_was_never_seen_is_not_found(installation: Installation, method: str, user: str):
    answer = await installation.http.request(method, f"{USERS}/{user}/sessions", headers=ADMIN)

    assert (answer.status_code, answer.json()["description"]) == (404, "there is no such user")


async def test_a_session_of_somebody_else_or_of_elsewhere_cannot_be_ended(installation: Installation):
    """Neither by its identifier under another user, nor from another organization."""
    await installation.a_client()
    for name in ("bob", "eve"):
        await installation.world.user(name)
    token = await installation.password_token("eve")
    await installation.password_token("bob")
    bob, eve = await subject_of(installation, "bob"), await subject_of(installation, "eve")
    (session,) = await sessions(installation, eve)

    as_bobs = await installation.http.delete(f"{USERS}/{bob}/sessions/{session['id']}", headers=ADMIN)
    elsewhere = await installation.http.delete(f"/api/users/v1/{eve}/sessions", headers=ADMIN)

    assert (as_bobs.status_code, elsewhere.status_code) == (404, 404)
    assert (await installation.introspect(token["access_token"]))["active"] is True


NODE = "/permission/admin/manage/identity/authentication/session"


@pytest.fixture
def http(settings: Settings) -> Iterator[TestClient]:
    """`acme` with an administrator, somebody of the helpdesk, and bob, who is nobody."""
    users = [{"username": name, "password": PASSWORD_HERE} for name in ("boss", "hugo", "bob")]
    roles = [
        {"name": "admin", "users": ["boss"]},
        {"name": "helpdesk", "users": ["hugo"], "permissions": [NODE]},
    ]
    keys = {
        "client_id": "app",
        "client_secret": "secret-of-app",
        "grant_types": ["password", "refresh_token"],
    }
    applications = [{"name": "App", "owner": "bob", "keys": {"production": keys}}]
    document = {"apiVersion": "ostiary/v1", "organization": {"name": "acme"}, "users": users}
    document |= {"roles": roles, "applications": applications}
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as local:
        applied = local.post("/api/declarative/v1/apply", json={"documents": [document]})
        assert applied.status_code == 200, applied.text
    with TestClient(build_app(settings), raise_server_exceptions=False) as client:
        yield client


def log_in(http: TestClient, name: str) -> None:
    form = {"grant_type": "password", "username": name, "password": PASSWORD_HERE}
    answer = http.post("/t/acme/oauth2/token", data=form, auth=("app", "secret-of-app"))
    assert answer.status_code == 200, answer.text


def ask(http: TestClient, who: str, method: str, path: str) -> Any:
    return http.request(method, f"/t/acme/api/users/v1{path}", auth=(who, PASSWORD_HERE))


def test_everybody_sees_and_ends_their_own(http: TestClient) -> None:
    log_in(http, "bob")
    log_in(http, "boss")
    (session,) = ask(http, "bob", "GET", "/me/sessions").json()["sessions"]
    (of_boss,) = ask(http, "boss", "GET", "/me/sessions").json()["sessions"]

    assert ask(http, "bob", "DELETE", f"/me/sessions/{of_boss['id']}").status_code == 404
    assert ask(http, "bob", "DELETE", f"/me/sessions/{session['id']}").status_code == 204
    assert ask(http, "bob", "DELETE", "/me/sessions").status_code == 204
    assert ask(http, "bob", "GET", "/me/sessions").json()["sessions"] == []
    assert ask(http, "boss", "GET", "/me/sessions").json()["sessions"] == [of_boss]


def test_the_helpdesk_ends_sessions_of_users_and_not_of_administrators(http: TestClient) -> None:
    for name in ("bob", "boss"):
        log_in(http, name)
    bob, boss = (ask(http, name, "GET", "/me/sessions").json()["userId"] for name in ("bob", "boss"))

    (of_boss,) = ask(http, "hugo", "GET", f"/{boss}/sessions").json()["sessions"]
    refused = [ask(http, "hugo", "DELETE", f"/{boss}/sessions{path}") for path in ("", f"/{of_boss['id']}")]

    assert [answer.status_code for answer in refused] == [403, 403]
    assert ask(http, "hugo", "DELETE", f"/{bob}/sessions").status_code == 204
    assert ask(http, "bob", "GET", f"/{boss}/sessions").status_code == 403
    assert ask(http, "bob", "DELETE", f"/{bob}/sessions").status_code == 403
    assert len(ask(http, "boss", "GET", "/me/sessions").json()["sessions"]) == 1
