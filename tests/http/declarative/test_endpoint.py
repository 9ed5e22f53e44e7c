"""POST /api/declarative/v1/apply: who may, what it answers."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.http.declarative.files import the_example

from ostiary.app import Settings
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database
from ostiary.identity import UserSpec, hash_password, put_user
from ostiary.organizations import find
from ostiary.permissions import a_user, give_admin_role

URL = "/api/declarative/v1/apply"
PASSWORD = "the administrator's password"


def the_acme_file(**parts: Any) -> dict[str, Any]:
    """A file of the organization `acme`."""
    return {"apiVersion": "ostiary/v1", "organization": {"name": "acme", "display_name": "Acme"}, **parts}


@pytest.fixture
def administrators(settings: Settings) -> None:
    """A user `chief` with the role `admin` in each organization, and `bob` without it."""

    async def make() -> None:
        database, hashed = Database.open(settings.database), await hash_password(SecretStr(PASSWORD))

        def unit(connection: Any) -> None:
            for name in ("acme", "default"):
                organization = find(connection, name)
                assert organization is not None
                for user in ("chief", "bob"):
                    put_user(connection, UserSpec(organization.id, user, hashed), utc_now)
                give_admin_role(connection, organization, a_user("chief"))

        await database.write(unit)
        await database.close()

    asyncio.run(make())


def test_the_answer_is_the_plan_with_its_notices_and_no_secret(local: TestClient):
    answer = local.post(
        URL, json={"documents": [the_acme_file(users=[{"username": "eve", "password": "s3cret!"}])]}
    )

    assert answer.status_code == 200
    assert answer.json() == {
        "applied": True,
        "organizations": [
            {
                "organization": "acme",
                "changes": [
                    {
                        "action": "+",
                        "kind": "user",
                        "name": "eve",
                        "details": [
                            {"attribute": "claims", "before": None, "after": {}},
                            {"attribute": "password", "before": None, "after": "set"},
                        ],
                    }
                ],
                "notices": [],
            }
        ],
    }


def test_a_dry_run_is_not_applied(local: TestClient):
    body = {"documents": [the_example()], "dry_run": True}
    answers = [local.post(URL, json=body).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["applied"] is False
    assert len(answers[0]["organizations"][0]["changes"]) == 11


def test_a_refusal_lists_every_complaint_by_path_and_is_a_problem(local: TestClient):
    document = the_acme_file(users=[{"username": "eve", "password": 5}], plans=[{"name": "T", "requests": 0}])
    answer = local.post(URL, json={"documents": [document]})

    assert answer.status_code == 400
    problem = answer.json()
    assert problem["traceId"] == answer.headers["x-request-id"]
    assert (problem["code"], problem["message"]) == ("400", "Bad Request")
    assert problem["complaints"] == [
        {
            "path": ["documents", 0, "users", 0, "password"],
            "found": "a number",
            "expected": "text, {env: NAME}, {file: PATH} or {unchanged: true} (put it in quotes)",
            "hint": "",
        },
        {
            "path": ["documents", 0, "plans", 0, "requests"],
            "found": "0",
            "expected": "at least 1",
            "hint": "",
        },
    ]


BODIES = (
    "null", "[]", "{}", "{", '{"documents": []}', '{"documents": [5]}', '{"documents": {}}',
    '{"documents": [{}]}',
    '{"documents": [{}], "prune": "perhaps"}', '{"documents": [{}], "dry_run": "perhaps"}',
    '{"documents": [{"apiVersion": "\\ud800"}]}', '{"documents": [' + "{}," * 100 + "{}]}",
)  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=[body[:40] for body in BODIES])
def test_a_body_of_another_shape_is_a_400(local: TestClient, body: str):
    answer = local.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()) >= {"code", "message", "description", "traceId"}


def test_the_administrators_of_default_apply_any_organizations_file(
    administrators: None, local: TestClient, whole_app: TestClient
):
    answer = whole_app.post(URL, json={"documents": [the_example()]}, auth=("chief", PASSWORD))
    assert answer.status_code == 200
    assert answer.json()["applied"] is True


def test_an_organizations_administrators_apply_its_own_file_alone(
    administrators: None, whole_app: TestClient
):
    own, others = {"documents": [the_acme_file()]}, {"documents": [the_example()]}

    assert whole_app.post(f"/t/acme{URL}", json=own, auth=("chief", PASSWORD)).status_code == 200
    refused = whole_app.post(f"/t/acme{URL}", json=others, auth=("chief", PASSWORD))
    assert refused.status_code == 400
    assert refused.json()["complaints"] == [
        {
            "path": ["documents", 0, "organization", "name"],
            "found": "'my_company'",
            "expected": "'acme', as in the URL",
            "hint": "",
        }
    ]


@pytest.mark.parametrize(("url", "status"), [(URL, 403), (f"/t/acme{URL}", 403), (f"/t/nowhere{URL}", 401)])
def test_nobody_else_applies_anything(administrators: None, whole_app: TestClient, url: str, status: int):
    answer = whole_app.post(url, json={"documents": [the_acme_file()]}, auth=("bob", PASSWORD))
    assert answer.status_code == status


def test_no_secret_of_a_file_is_logged(local: TestClient, capsys: pytest.CaptureFixture[str]):
    document = the_acme_file(users=[{"username": "eve", "password": "never-to-be-seen"}])
    local.post(URL, json={"documents": [document]})
    local.post(URL, json={"documents": [document | {"users": "never-to-be-seen"}]})
    shown = capsys.readouterr()
    assert "organization_files_applied" in shown.out + shown.err
    assert "never-to-be-seen" not in shown.out + shown.err
