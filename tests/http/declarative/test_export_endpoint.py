"""GET /api/declarative/v1/export: who may, what it answers."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.declarative.test_endpoint import PASSWORD, administrators, the_acme_file

__all__ = ["administrators"]

URL = "/api/declarative/v1/export"
APPLY = "/api/declarative/v1/apply"


def test_the_answer_may_be_applied_as_it_is(local: TestClient):
    store: dict[str, Any] = {"name": "X", "type": "rest", "url": "https://x.example/"}
    store |= {"auth": {"bearer": {"token": "s3cret!"}}}
    assert local.post(APPLY, json={"documents": [the_acme_file(user_stores=[store])]}).is_success

    answer = local.get(URL, params={"organization": "acme"})

    assert answer.status_code == 200
    kept = store | {"auth": {"bearer": {"token": {"unchanged": True}}}}
    assert answer.json() == {
        "document": the_acme_file(user_stores=[kept]),
        "secrets": [["user_stores", 0, "auth", "bearer", "token"]],
        "left_out": [],
    }
    again = local.post(APPLY, json={"documents": [answer.json()["document"]], "dry_run": True})
    assert again.json()["organizations"][0]["changes"] == []


def test_without_a_name_it_is_the_organization_of_the_url(local: TestClient):
    assert local.get(f"/t/acme{URL}").json()["document"]["organization"]["name"] == "acme"
    assert local.get(URL).json()["document"]["organization"]["name"] == "default"


@pytest.mark.usefixtures("administrators")
@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        (f"/t/acme{URL}", "chief", 200),
        (f"/t/acme{URL}?organization=acme", "chief", 200),
        (f"/t/acme{URL}?organization=default", "chief", 404),
        (f"/t/acme{URL}?organization=nowhere", "chief", 404),
        (f"/t/acme{URL}", "bob", 403),
        (f"{URL}?organization=acme", "chief", 200),
        (f"{URL}?organization=nowhere", "chief", 404),
        (f"{URL}?organization=acme", "bob", 403),
        (f"{URL}?organization=acme", "nobody", 401),
    ],
)
def test_only_who_may_apply_a_file_may_export_it(whole_app: TestClient, path: str, who: str, status: int):
    assert whole_app.get(path, auth=(who, PASSWORD)).status_code == status


def test_an_organizations_own_administrator_learns_nothing_of_others(local: TestClient):
    """Attack: what is not there and what is somebody else's look the same."""
    there = local.get(f"/t/acme{URL}", params={"organization": "default"}).json()
    nowhere = local.get(f"/t/acme{URL}", params={"organization": "nowhere"}).json()

    assert {key: there[key] for key in there if key != "traceId"} == {
        key: nowhere[key] for key in nowhere if key != "traceId"
    }


@pytest.mark.parametrize(
    "query",
    ["without=everything", "organization=%00", "organization=..%2F", "organization=" + "x" * 64, "x=1"],
)
def test_no_query_is_an_error_of_ours(local: TestClient, query: str):
    assert local.get(f"{URL}?{query}").status_code in (200, 400, 404)


def test_what_cannot_be_exported_says_where_it_is(local: TestClient):
    """What REST takes and a file does not is no error of ours."""
    body = {"username": "eve", "password": "s3cret!", "claims": {"two\nlines": "x"}}
    assert local.post("/t/acme/api/identity/v1/users", json=body).is_success

    answer = local.get(URL, params={"organization": "acme"})

    assert answer.status_code == 409
    assert answer.json()["complaints"][0]["path"][:3] == ["users", 0, "claims"]
    assert local.get(URL, params={"organization": "acme", "without": "users"}).status_code == 200
