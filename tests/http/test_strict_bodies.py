"""A JSON body means one thing: no value is taken for another that it looks like (found by the fuzzer)."""

import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local

from ostiary.app import Settings, build_app

CLIENTS = "/api/oauth/v1/clients"
NEARLY = [
    ("POST", "/api/oauth/v1/keys/rotate", {"now": 0}, "now"),
    ("PUT", "/api/oauth/v1/scopes/read", {"everyone": "yes"}, "everyone"),
    ("POST", "/api/oauth/v1/clients", {"public": 1}, "public"),
    (
        "POST",
        "/api/oauth/v1/clients",
        {"access_token_lifetime_seconds": "60"},
        "access_token_lifetime_seconds",
    ),
    ("POST", "/api/identity/v1/users", {"username": "ann", "disabled": "off"}, "disabled"),
    ("POST", "/api/apim/v1/plans", {"name": "Tiny", "requests": "5"}, "requests"),
    ("POST", "/api/declarative/v1/apply", {"documents": [{}], "dry_run": "no"}, "dry_run"),
]


@pytest.mark.parametrize(("method", "path", "body", "member"), NEARLY)
def test_what_looks_like_a_truth_value_or_a_number_is_none(
    settings: Settings, method: str, path: str, body: dict[str, object], member: str
):
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as client:
        answer = client.request(method, path, json=body)

    assert answer.status_code == 400
    assert answer.json()["description"].startswith(f"{member}: Input should be a valid ")


@pytest.mark.parametrize("written", ["0", "1800000000", "0.5", "noon"])
def test_a_number_is_no_time(settings: Settings, written: str):
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as client:
        answer = client.get("/api/apim/v1/usage", params={"from": written})

    assert answer.status_code == 400
    assert "a time in ISO 8601" in answer.json()["description"]
