"""Why requests were refused: told by nodes and workers, read by the right administrators alone."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.http.gateway.gateway import Gateway, _finder
from tests.system.waiting import until

from ostiary.app import Settings, build_app, framework_of
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import write_engine
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.gateway import explanations, forget_explanations, note_explanations
from ostiary.gateway.tables import explanations as table
from ostiary.identity import UserSpec, put_user
from ostiary.oauth import ClientSpec, put_client
from ostiary.organizations import Organization, find
from ostiary.permissions import ADMIN, LOCAL_ADMINISTRATOR, Guard, Principal, PrincipalKind

SECRET = "s3cret-of-the-client"
PASSWORD = "a-wrong-password-of-bob"


def told(request_id: str = "r-1", organization: str = "my_company", **changes: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "organization": organization,
        "at": 1_800_000_000.5,
        "node": "embedded",
        "method": "GET",
        "path": "/t/my_company/orders/1.0.0/7",
        "status": 403,
        "refusal": "insufficient_scope",
        "code": "900910",
        "steps": [{"check": "a", "compared": "b", "outcome": "failed", "reason": "c"}],
        "advice": "ask for it",
        **changes,
    }


async def tell(gateway: Gateway, *documents: dict[str, Any]) -> int:
    answer = await gateway.http.post(
        "/internal/gateway/v1/explanations", json={"explanations": list(documents)}
    )
    return answer.status_code


async def read(gateway: Gateway, request_id: str, by: Principal, organization: str = "my_company") -> Any:
    async def identify(_request: Request, _organization: Organization) -> Principal | None:
        return by

    before = framework_of(gateway.app).state.guard
    framework_of(gateway.app).state.guard = Guard(identify, _finder(gateway.installation.database))
    try:
        return await gateway.http.get(f"/t/{organization}/api/server/v1/explanations/{request_id}")
    finally:
        framework_of(gateway.app).state.guard = before


def an_admin(organization_id: str) -> Principal:
    return Principal(PrincipalKind.USER, "admin", organization_id, "s", permissions=frozenset({ADMIN}))


async def test_what_a_node_tells_its_organizations_administrator_reads(on_both: Gateway):
    assert await tell(on_both, told()) == 204

    answer = await read(on_both, "r-1", an_admin(on_both.organization_id))

    assert answer.status_code == 200
    body = answer.json()
    assert {name: body[name] for name in told()} == told()


async def test_another_organizations_administrator_reads_nothing(gateway: Gateway):
    await tell(gateway, told())
    database = gateway.installation.database
    default = await database.read(lambda c: find(c, "default"))
    assert default is not None

    theirs = await read(gateway, "r-1", an_admin(default.id), "default")
    unknown = await read(gateway, "r-2", an_admin(default.id), "default")

    assert (theirs.status_code, unknown.status_code) == (404, 404)
    assert theirs.json()["description"] == unknown.json()["description"]


async def test_a_user_who_is_no_administrator_is_refused(gateway: Gateway):
    await tell(gateway, told())
    nobody = Principal(PrincipalKind.USER, "bob", gateway.organization_id, "s")

    assert (await read(gateway, "r-1", nobody)).status_code == 403


async def test_the_local_administrator_reads_every_organizations(gateway: Gateway):
    await tell(gateway, told())
    assert (await read(gateway, "r-1", LOCAL_ADMINISTRATOR, "default")).status_code == 200


async def test_what_names_no_organization_is_the_default_ones(gateway: Gateway):
    await tell(gateway, told(organization="nobody"))
    default = await gateway.installation.database.read(lambda c: find(c, "default"))
    assert default is not None

    assert (await read(gateway, "r-1", an_admin(default.id), "default")).status_code == 200
    assert (await read(gateway, "r-1", an_admin(gateway.organization_id))).status_code == 404


async def test_told_twice_is_kept_once(on_both: Gateway):
    await tell(on_both, told(advice="first"))

    assert await tell(on_both, told(advice="second"), told("r-2")) == 204
    answer = await read(on_both, "r-1", an_admin(on_both.organization_id))
    assert answer.json()["advice"] == "first"


@pytest.mark.parametrize(
    "wrong",
    [
        {"request_id": "../x"},
        {"request_id": "x" * 65},
        {"steps": [{"check": "a", "outcome": "maybe"}]},
        {"steps": [{"check": "a", "outcome": "passed"}] * 61},
        {"path": "x" * 5000},
        {"status": "many"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_what_is_no_explanation_is_refused(gateway: Gateway, wrong: dict[str, Any]):
    assert await tell(gateway, told(**wrong)) == 422  # a 400 with the whole app's answers


async def test_a_newer_nodes_members_are_left_out(gateway: Gateway):
    assert await tell(gateway, told(mood="gloomy")) == 204


async def test_the_table_is_bounded_by_time_and_by_number(on_both: Gateway, monkeypatch: pytest.MonkeyPatch):
    now = utc_now()
    for hours in range(6):
        one = told(f"r-{hours}")
        await on_both.write(
            lambda c, one=one, hours=hours: note_explanations(c, [one], now - timedelta(hours=hours))
        )

    await on_both.write(lambda c: forget_explanations(c, now, timedelta(hours=3.5)))
    kept = await on_both.installation.database.read(
        lambda c: c.execute(select(func.count()).select_from(table)).scalar()
    )
    assert kept == 4

    small = explanations._OLDEST_KEPT.offset(2)
    monkeypatch.setattr(explanations, "_OLDEST_KEPT", small)
    await on_both.write(lambda c: forget_explanations(c, now, timedelta(hours=3.5)))
    kept = await on_both.installation.database.read(
        lambda c: c.execute(select(func.count()).select_from(table)).scalar()
    )
    assert kept == 2


@pytest.fixture
def acme(settings: Settings) -> Settings:
    box = SecretBox(load_or_create_key(settings.data_dir / "secret.key"))
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        here = find(connection, "acme")
        assert here is not None
        put_user(connection, UserSpec(here.id, "bob", "$not-a-hash$"), utc_now)
        spec = ClientSpec("mobile", secret=SecretStr(SECRET), grant_types=frozenset({"password"}))
        put_client(connection, box, here.id, spec, utc_now())
    engine.dispose()
    return settings


def test_a_refused_login_is_explained_to_administrators_and_not_to_the_client(acme: Settings):
    form = {"grant_type": "password", "username": "bob@acme", "password": PASSWORD}
    with TestClient(Local(build_app(acme)), raise_server_exceptions=False) as http:
        refused = http.post("/token", data=form, auth=("mobile", SECRET))
        url = f"/t/acme/api/server/v1/explanations/{refused.headers['x-request-id']}"
        until(lambda: http.get(url).status_code == 200, what="the explanation")
        explained = http.get(url).json()

    assert refused.json() == {
        "error": "invalid_grant",
        "error_description": "the user name or password is not right",
    }
    assert explained["organization"] == "acme"
    assert explained["steps"] == [
        {
            "check": "the client is known and its secret is right",
            "compared": "client mobile",
            "outcome": "passed",
        },
        {
            "check": "the request can be granted",
            "compared": "",
            "outcome": "failed",
            "reason": "bob@acme: refused_by_PRIMARY",
        },
    ]
    assert PASSWORD not in str(explained)
    assert SECRET not in str(explained)
