"""A refusal reads as whoever asks at an address knows it, wherever in the server it comes from."""

import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local

from ostiary.app import Settings, build_app
from ostiary.foundation.web import MAX_BODY_BYTES

JSON = {"Content-Type": "application/json"}


def test_a_path_that_reads_two_ways_is_refused_in_words_of_scim(whole_app: TestClient):
    answer = whole_app.get("/scim2/Users/a;b")

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/scim+json"
    assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


def test_a_path_that_reads_two_ways_is_refused_in_words_of_oauth(whole_app: TestClient):
    """RFC 6749 §5.2."""
    answer = whole_app.post("/t/a;b/token")

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/api/oauth/v1/clients/a;b", "/a;b"])
def test_a_path_that_reads_two_ways_is_a_problem_elsewhere(whole_app: TestClient, path: str):
    answer = whole_app.get(path)

    assert answer.status_code == 400
    assert answer.json()["code"] == "400"
    assert answer.json()["traceId"] == answer.headers["x-request-id"]


def test_a_body_that_is_too_long_is_a_problem_of_that_status(settings: Settings):
    with TestClient(Local(build_app(settings)), raise_server_exceptions=False) as client:
        answer = client.post("/api/oauth/v1/clients", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["description"] == f"the body is longer than {MAX_BODY_BYTES} bytes"
