"""Claims in the backend JWT: of whoever calls, for the API that asks, as they are now; or no call at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.support.http_service import Answer, HTTPService, Seen
from tests.support.identity import BOX
from tests.system.administrator import stored_decision
from tests.system.node import until, until_async
from tests.system.site import Site, a_site

from ostiary import apim
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import (
    StoreOptions,
    UserSpec,
    UserStoreSpec,
    put_user,
    put_user_store,
    read_user_store_settings,
)

CRM = "/t/my_company/crm/1.0.0/1"
ORDERS = "/t/my_company/orders/1.0.0/1"
DIALECT = "http://wso2.org/claims/"
ASKED = ("email", "given_name", "department", "note")
BOB = {"email": "bob@example.com", "given_name": "Bob", "phone_number": "+1", "salary": "9"}
HOSTILE = 'a"}\r\nX-Evil: 1\r\n\r\n^|;,\\u0000 \\ <é漢\U0001f600>'


@pytest.fixture
async def site(sqlite_database: Database, scratch: Path) -> AsyncIterator[Site]:
    async with a_site(sqlite_database, scratch) as started:
        await tell_of(started, "bob", BOB)
        await an_asking_api(started)
        yield started


async def an_asking_api(site: Site) -> apim.API:
    """The API `/crm`, which asks for claims, and the subscriptions of every application to it."""
    gateway = site.gateway
    here, backend = gateway.organization_id, f"http://127.0.0.1:{site.backend.port}"
    api = await gateway.an_api("/crm", backend, assertion_claims=ASKED)
    for application in await gateway.installation.database.read(lambda c: apim.list_applications(c, here)):
        await gateway.a_subscription(application, api, "Unlimited")
    return api


async def tell_of(site: Site, username: str, claims: Mapping[str, str]) -> None:
    """Make a user of PRIMARY have exactly these claims."""
    gateway = site.gateway
    spec = UserSpec(gateway.organization_id, username, claims=claims)
    await gateway.write(lambda c: put_user(c, spec, gateway.installation.clock))


async def ask_for(site: Site, *names: str) -> None:
    """Have the API ask for exactly these claims."""
    gateway, here = site.gateway, site.gateway.organization_id
    api = await gateway.installation.database.read(lambda c: apim.find_api_named(c, here, "Crm", "1.0.0"))
    assert api is not None
    spec = apim.APISpec(
        api.name, api.context, api.version, api.backend, api.plans, api.resources, assertion_claims=names
    )
    await gateway.write(lambda c: apim.change_api(c, here, api.id, spec, OutboundPolicy()))


async def passed(site: Site, token: str, path: str = CRM, **how: Any) -> httpx2.Response:
    """The answer of the backend, once the call passes."""
    answer: list[httpx2.Response] = []

    async def passes() -> bool:
        answer[:] = [await site.http.get(path, headers={"Authorization": f"Bearer {token}", **how})]
        return answer[0].status_code == 200

    await until_async(passes, 2)
    return answer[0]


async def told(site: Site, token: str, path: str = CRM, **how: Any) -> dict[str, Any]:
    """What the backend is told of the user, once the call passes."""
    return personal(await assertion_of(site, await passed(site, token, path, **how)))


async def assertion_of(site: Site, answer: httpx2.Response) -> dict[str, Any]:
    """The verified claims of the assertion a backend got."""
    keys = KeySet.import_key_set((await site.gateway.http.get("/t/my_company/gateway/jwks")).json())
    (assertion,) = [value for name, value in answer.json()["headers"] if name == "x-jwt-assertion"]
    return jwt.decode(assertion, keys, algorithms=["ES256"]).claims


ALWAYS = {
    *("iss", "aud", "sub", "iat", "exp", "jti"),
    *(
        f"{DIALECT}{name}"
        for name in (
            *("subscriber", "applicationid", "applicationname", "applicationtier", "applicationUUId"),
            *("apicontext", "apiname", "version", "tier", "keytype", "usertype", "enduser"),
        )
    ),
}


def personal(claims: Mapping[str, Any]) -> dict[str, Any]:
    """What is there besides what is always there."""
    assert set(claims) >= ALWAYS
    return {name.removeprefix(DIALECT): value for name, value in claims.items() if name not in ALWAYS}


@pytest.mark.parametrize("client", ["mobile", "desk"])
async def test_the_backend_is_told_what_the_api_asks_for_of_the_user_who_calls(site: Site, client: str):
    token = await site.token(client)

    assert await told(site, token) == {"emailaddress": "bob@example.com", "givenname": "Bob"}
    assert await told(site, token, ORDERS) == {}


async def test_each_user_s_calls_tell_of_that_user_alone(site: Site):
    await site.gateway.installation.a_user("ann")
    await tell_of(site, "ann", {"department": "sales"})
    anns, bobs = await site.token(username="ann"), await site.token()

    assert await told(site, anns) == {"department": "sales"}
    assert await told(site, bobs) == {"emailaddress": "bob@example.com", "givenname": "Bob"}


async def test_an_application_has_no_claims(site: Site):
    answer = await site.gateway.installation.token("mobile", grant_type="client_credentials")
    site.control_plane.requests.clear()

    assert await told(site, answer.json()["access_token"]) == {}
    assert not [path for path in site.control_plane.requests if "claims" in path]


async def test_a_client_that_names_claims_gets_no_others(site: Site):
    """What is told depends on the API and the user; nothing in a request has a say in it."""
    token = await site.token(claims='{"userinfo":{"salary":null}}', scope="salary phone_number")

    names = {"X-Claims": "salary", "X-JWT-Assertion": "salary", "Claims": "salary"}
    assert "salary" not in await told(site, token, f"{CRM}?claims=salary&scope=salary", **names)


async def test_a_second_call_asks_nobody(site: Site):
    token = await site.token()
    await told(site, token)
    site.control_plane.requests.clear()

    assert [await site.status(token, CRM) for _ in range(20)] == [200] * 20
    assert not [path for path in site.control_plane.requests if "claims" in path]


async def test_a_user_s_changed_claims_are_told_within_a_second(site: Site):
    token = await site.token()
    await told(site, token)

    await tell_of(site, "bob", BOB | {"email": "robert@example.com"})

    async def is_told() -> bool:
        return (await told(site, token)).get("emailaddress") == "robert@example.com"

    await until_async(is_told, 1)


async def test_claims_that_a_login_changes_are_told_within_a_second_by_older_tokens_too(site: Site):
    people = {"ann": {"ok": True, "mail": "ann@example.com"}}
    service = HTTPService(lambda request: person(people, request))
    await service.start()
    try:
        await connect(site, service.url)
        token = await site.token(username="CORP/ann")
        assert await told(site, token) == {"emailaddress": "ann@example.com"}

        people["ann"]["mail"] = "ann@example.org"
        await site.token(username="CORP/ann")

        async def is_told() -> bool:
            return await told(site, token) == {"emailaddress": "ann@example.org"}

        await until_async(is_told, 1)
    finally:
        await service.stop()


def person(people: Mapping[str, Mapping[str, Any]], request: Seen) -> Answer:
    return 200, people.get(json.loads(request.body)["user"], {"ok": False})


async def connect(site: Site, url: str) -> None:
    """A user store that tells an e-mail address."""
    settings = read_user_store_settings(
        "rest",
        {
            "url": url,
            "request": {"body": {"user": "{username}", "secret": "{password}"}},
            "response": {"accepted": "ok", "refused": "!ok", "claims": {"email": "mail"}},
        },
    )
    spec = UserStoreSpec(site.gateway.organization_id, "CORP", "rest", settings, StoreOptions())
    await site.gateway.write(lambda c: put_user_store(c, spec, BOX))


async def test_an_api_that_asks_for_less_is_told_less_within_a_second(site: Site):
    token = await site.token()
    await told(site, token)

    await ask_for(site, "given_name")

    async def is_told() -> bool:
        return await told(site, token) == {"givenname": "Bob"}

    await until_async(is_told, 1)


async def test_without_a_control_plane_stored_decisions_hold_and_others_wait(site: Site):
    """Never an assertion that lacks what the API asked for: who is not known yet is not let through."""
    known, unknown = await site.token(), await site.token()
    before = await told(site, known)
    directory = site.node.settings.run.parent
    here = site.gateway.organization_id
    api = await site.gateway.installation.database.read(
        lambda c: apim.find_api_named(c, here, "Crm", "1.0.0")
    )
    assert api is not None
    await until(lambda: bool(stored_decision(directory, api.id, known)))
    await site.control_plane.stop()

    answer = await site.call(unknown, CRM)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert await told(site, known) == before
    assert await site.status(unknown, ORDERS) == 200


async def test_no_value_of_a_claim_gets_out_of_the_assertion(site: Site):
    await tell_of(site, "bob", {"department": HOSTILE, "email": ""})
    token = await site.token()

    answer = await passed(site, token)

    assert personal(await assertion_of(site, answer)) == {"emailaddress": "", "department": HOSTILE}
    assert "x-evil" not in dict(answer.json()["headers"])


async def test_as_many_claims_as_are_told_fit_beside_the_largest_headers(site: Site):
    names = tuple(f"claim_{n}" for n in range(20))
    await tell_of(site, "bob", dict.fromkeys(names, "é" * 100))
    await ask_for(site, *names)
    token = await site.token()

    found = await told(site, token, **{"X-Large": "a" * 14_000})

    left_out = found.pop("claims_left_out")
    assert len(found) > 8
    assert sorted([*found, *left_out]) == sorted(names)
    assert set(found.values()) == {"é" * 100}
