"""What is typed as a user name may be a password: where no store has that name, nothing keeps it."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.identity.test_locks import SECRET, Site, a_site
from tests.http.test_audit import records_of
from tests.system.waiting import until

from ostiary.app import Settings

TYPED = "marker-password-in-the-field-for-the-name"


def refused(http: TestClient, username: str, password: str = "wrong") -> str:
    """A refused login; the identifier of its request."""
    form = {"grant_type": "password", "username": username, "password": password}
    answer = http.post("/token", data=form, auth=("shop-till", SECRET))
    assert answer.status_code == 400
    return str(answer.headers["x-request-id"])


def why(site: Site, request_id: str) -> str:
    """What an administrator is told of a refused request."""
    headers = {"X-Test-Socket": "local_administrator"}
    path = f"/t/shop/api/server/v1/explanations/{request_id}"
    told = until(lambda: _found(site.http.get(path, headers=headers)), what="the explanation")
    (step,) = [one for one in told["steps"] if one["outcome"] == "failed"]
    return str(step["reason"])


def _found(answer: Any) -> dict[str, Any] | None:
    return dict(answer.json()) if answer.status_code == 200 else None


def test_a_name_nobody_has_is_a_keyed_hash_in_log_and_explanation_as_in_the_audit_log(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    with a_site(settings) as site:
        reason = why(site, refused(site.http, TYPED))

    logged = "".join(capfd.readouterr())
    (record,) = [one for one in records_of(settings, "shop") if one["action"] == "token.refused"]
    hashed = record["target"]["name_hash"]
    assert reason == f"?{hashed}@shop: unknown"
    assert f"?{hashed}@shop" in logged
    assert TYPED not in logged
    for file in settings.data_dir.glob("ostiary.db*"):
        assert TYPED.encode() not in file.read_bytes()


def test_a_name_somebody_has_is_written(settings: Settings) -> None:
    with a_site(settings) as site:
        assert why(site, refused(site.http, "BOB")) == "bob@shop: refused_by_PRIMARY"
