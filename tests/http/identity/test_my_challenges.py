"""Challenge answers with real tokens: /api/users/v1/me/…, and who may do it for somebody else."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.support.challenges import BOTH, BOTH_ANSWERED, CITY, answer

from ostiary.app import Settings, build_app

PASSWORD, SECRET = "correct horse battery staple", "console-secret"
USERS = "/t/acme/api/users/v1"
ME = f"{USERS}/me"
IDENTITY = "/permission/admin/manage/identity"
HELPDESK = (f"{IDENTITY}/identitymgt", f"{IDENTITY}/challenge/view")
VERBS = ("view", "create", "update", "delete")
SCOPES = [f"internal_identity_mgt_{verb}" for verb in VERBS]


def organization_file(**organization: Any) -> dict[str, Any]:
    """bob of the help desk, alice without a role, ann who administers everything, and a marked client."""
    keys = {
        "client_id": "console",
        "client_secret": SECRET,
        "grant_types": ["password", "client_credentials"],
        "internal_scopes": True,
    }
    people = [{"username": who, "password": PASSWORD} for who in ("alice", "ann", "bob")]
    return {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "acme", "features": ["challenge_questions"], **organization},
        "users": people,
        "roles": [
            {"name": "helpdesk", "permissions": HELPDESK, "users": ["bob"], "clients": ["console"]},
            {"name": "admin", "users": ["ann"]},
        ],
        "applications": [{"name": "Console", "owner": "bob", "keys": {"production": keys}}],
    }


@pytest.fixture
def local(settings: Settings) -> Iterator[TestClient]:
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as client:
        made = client.post("/api/declarative/v1/apply", json={"documents": [organization_file()]})
        assert made.status_code == 200, made.text
        yield client


@pytest.fixture
def http(settings: Settings, local: TestClient) -> Iterator[TestClient]:
    with TestClient(build_app(settings), raise_server_exceptions=False) as client:
        yield client


def log_in(http: TestClient, username: str | None, scope: str = "SYSTEM") -> dict[str, str]:
    """The header of a token for a user, or for the client itself."""
    form = {"grant_type": "client_credentials", "scope": scope}
    if username is not None:
        form |= {"grant_type": "password", "username": username, "password": PASSWORD}
    answered = http.post("/t/acme/oauth2/token", data=form, auth=("console", SECRET))
    assert answered.status_code == 200, answered.text
    return {"Authorization": f"Bearer {answered.json()['access_token']}"}


def of(local: TestClient, username: str) -> str:
    """The path of a user's challenges."""
    subject = local.get(f"/t/acme/api/identity/v1/users/{username}").json()["subject"]
    return f"{USERS}/{subject}"


def test_the_challenges_of_a_user_take_a_permission_and_a_scope(http: TestClient, local: TestClient):
    """The call that the documentation of the scopes begins with."""
    path = f"{of(local, 'alice')}/challenges"

    said = http.get(path, headers=log_in(http, "bob", "internal_identity_mgt_view"))

    assert said.status_code == 200
    assert [one["questionSetId"] for one in said.json()] == ["challengeQuestion1", "challengeQuestion2"]
    for token in (
        log_in(http, "bob", "internal_identity_mgt_update"),
        log_in(http, "alice", "internal_login"),
    ):
        refused = http.get(path, headers=token)
        assert refused.status_code == 403
        assert "internal_identity_mgt_view" in refused.headers["www-authenticate"]


def test_people_answer_for_themselves(http: TestClient, local: TestClient):
    mine = log_in(http, "alice", "internal_login")
    one = f"{ME}/challenge-answers/challengeQuestion1"

    assert len(http.get(f"{ME}/challenges", headers=mine).json()) == 2
    made = http.post(f"{ME}/challenge-answers", headers=mine, json=BOTH)
    assert (made.status_code, made.headers["location"]) == (201, f"{ME}/challenge-answers")
    assert http.get(f"{ME}/challenge-answers", headers=mine).json() == BOTH_ANSWERED
    assert local.get(f"{of(local, 'alice')}/challenge-answers").json() == BOTH_ANSWERED
    assert local.get(f"{of(local, 'bob')}/challenge-answers").json() == []

    assert http.post(one, headers=mine, json=answer(CITY, "Galle")).json()["code"] == "CQM-10014"
    assert http.put(one, headers=mine, json=answer(CITY, "Galle")).status_code == 200
    assert http.delete(one, headers=mine).status_code == 204
    assert http.put(f"{ME}/challenge-answers", headers=mine, json=BOTH[:1]).status_code == 200
    assert http.delete(f"{ME}/challenge-answers", headers=mine).status_code == 204
    assert http.put(f"{ME}/challenge-answers", headers=mine, json=BOTH).json()["code"] == "CQM-10013"


EVERY_CALL_OF_ME = [
    ("GET", "challenges"),
    *((method, "challenge-answers") for method in ("GET", "POST", "PUT", "DELETE")),
    *((method, "challenge-answers/challengeQuestion1") for method in ("POST", "PUT", "DELETE")),
]


def test_me_is_for_users_alone(http: TestClient, local: TestClient):
    """A client that acts for itself and the machine's own user are nobody's self."""
    itself, without_login = log_in(http, None), log_in(http, "bob", " ".join(SCOPES))

    for method, path in EVERY_CALL_OF_ME:
        calls: list[httpx2.Response] = [
            http.request(method, f"{ME}/{path}", headers=itself, json=BOTH),
            http.request(method, f"{ME}/{path}", headers=without_login, json=BOTH),
            local.request(method, f"{ME}/{path}", json=BOTH),
            http.request(method, f"{ME}/{path}", json=BOTH),
        ]
        assert [said.status_code for said in calls] == [403, 403, 403, 401], f"{method} {path}"


def test_what_begins_like_me_is_not_me(http: TestClient):
    """Elsewhere a pattern without an end let such a user's data be read with a login alone."""
    alice, bob = log_in(http, "alice", "internal_login"), log_in(http, "bob", SCOPES[0])

    for name in ("me2", "meal", "ME", "me%20"):
        said = http.get(f"{USERS}/{name}/challenges", headers=alice)
        known = http.get(f"{USERS}/{name}/challenges", headers=bob)
        assert said.status_code == 403
        assert "internal_identity_mgt_view" in said.headers["www-authenticate"]
        assert (known.status_code, known.json()["code"]) == (404, "CQM-18003")


def test_the_help_desk_answers_for_users_and_not_for_administrators(http: TestClient, local: TestClient):
    """Recovery data is a credential: who could set that of an administrator could become one."""
    bob = log_in(http, "bob")
    one = "challenge-answers/challengeQuestion1"
    assert http.post(f"{of(local, 'alice')}/challenge-answers", headers=bob, json=BOTH).status_code == 201
    assert http.delete(f"{of(local, 'alice')}/challenge-answers", headers=bob).status_code == 204
    assert local.post(f"{of(local, 'ann')}/challenge-answers", json=BOTH).status_code == 201

    calls = [
        ("POST", "challenge-answers", BOTH),
        ("PUT", "challenge-answers", BOTH),
        ("DELETE", "challenge-answers", None),
        ("POST", one, answer(CITY, "Galle")),
        ("PUT", one, answer(CITY, "Galle")),
        ("DELETE", one, None),
    ]
    for method, path, body in calls:
        said = http.request(method, f"{of(local, 'ann')}/{path}", headers=bob, json=body)
        assert said.status_code == 403, f"{method} {path}"

    assert http.get(f"{of(local, 'ann')}/challenge-answers", headers=bob).json() == BOTH_ANSWERED
    ann = log_in(http, "ann")
    assert http.delete(f"{of(local, 'ann')}/challenge-answers", headers=ann).status_code == 204


def test_a_client_of_the_help_desk_may_do_what_its_role_says(http: TestClient, local: TestClient):
    itself = log_in(http, None)

    assert http.post(f"{of(local, 'alice')}/challenge-answers", headers=itself, json=BOTH).status_code == 201
    assert http.delete(f"{of(local, 'ann')}/challenge-answers", headers=itself).status_code == 403


def test_the_questions_take_permissions_of_their_own(http: TestClient, local: TestClient):
    sets = "/t/acme/api/server/v1/challenges"
    added = [{"questionSetId": "taste", "questions": [{"question": "Which tea?"}]}]
    bob, ann = log_in(http, "bob"), log_in(http, "ann")

    assert http.get(sets, headers=bob).status_code == 200
    refused = http.post(sets, headers=bob, json=added)
    assert refused.status_code == 403
    assert "internal_challenge_questions_create" in refused.headers["www-authenticate"]
    assert http.post(sets, headers=ann, json=added).status_code == 201
    assert http.delete(f"{sets}/taste", headers=ann).status_code == 204


def test_another_organizations_token_answers_nothing_here(http: TestClient, local: TestClient):
    bob = log_in(http, "bob")

    for path in ("/api/users/v1/me/challenges", "/t/nowhere/api/users/v1/me/challenges"):
        assert http.get(path, headers=bob).status_code == 401


def test_ten_megabytes_are_no_answer(http: TestClient):
    mine = log_in(http, "alice", "internal_login")
    one = f"{ME}/challenge-answers/challengeQuestion1"

    said = [http.post(one, headers=mine, json=answer(CITY, "a" * size)) for size in (10_000_000, 1_000_000)]

    assert [one.status_code for one in said] == [413, 400]
    assert http.get(f"{ME}/challenge-answers", headers=mine).json() == []


BAD_BODIES = [
    (b'{"answer": "Kandy", "answer": "Galle"}', "the same key is there twice"),
    (
        b'{"challengeQuestion": {"locale": "a", "locale": "b"}, "answer": "Kandy"}',
        "the same key is there twice",
    ),
    (b'{"challengeQuestion": NaN, "answer": "Kandy"}', "NaN is no number of JSON"),
    (b'{"answer": [-Infinity]}', "-Infinity is no number of JSON"),
    (b'{"answer": ["Kandy"]}', "answer"),
    (b'{"answer": "Kandy"', "not JSON"),
]


def test_what_is_wrong_with_a_body_is_said_without_repeating_it(http: TestClient):
    one = f"{ME}/challenge-answers/challengeQuestion1"
    headers = {**log_in(http, "alice", "internal_login"), "Content-Type": "application/json"}

    for body, expected in BAD_BODIES:
        said = http.post(one, headers=headers, content=body)
        assert said.status_code == 400
        assert expected in said.json()["description"]
        assert "Kandy" not in said.text
        assert set(said.json()) == {"code", "message", "description", "traceId"}


def test_turned_off_nobody_answers_for_themselves(http: TestClient, local: TestClient):
    mine = log_in(http, "alice", "internal_login")
    off = organization_file(features=[])
    assert local.post("/api/declarative/v1/apply", json={"documents": [off]}).status_code == 200

    for method, path in EVERY_CALL_OF_ME:
        body = BOTH if path.endswith("answers") else BOTH[0]
        said = http.request(method, f"{ME}/{path}", headers=mine, json=body)
        assert said.status_code == 403
        assert "challenge_questions" in said.json()["description"]
