"""POST /internal/gateway/v1/claims: what an API is told of a user, and nobody else."""

from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection
from tests.http.gateway.gateway import Gateway

from ostiary.foundation.clock import utc_now
from ostiary.foundation.identifiers import new_id
from ostiary.identity import UserSpec, find_user, put_user
from ostiary.identity.belonging import learn
from ostiary.identity.repository import subjects
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.organizations import Organization, put

BOB = {"email": "bob@example.com", "salary": "9"}


async def ask(gateway: Gateway, **question: object) -> httpx2.Response:
    return await gateway.http.post("/internal/gateway/v1/claims", json=question)


async def told(gateway: Gateway, api_id: str, subject: str, organization: str | None = None) -> Any:
    here = organization or gateway.organization_id
    answer = await ask(gateway, organization_id=here, api_id=api_id, subject=subject)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.pop("number") <= await gateway.number()
    return body


async def has(gateway: Gateway, claims: Mapping[str, str], username: str = "bob") -> str:
    """Make a user have these claims; the subject."""
    here = gateway.organization_id

    def unit(connection: Connection) -> str:
        put_user(connection, UserSpec(here, username, claims=claims), utc_now)
        user = find_user(connection, here, username)
        assert user is not None
        return user.subject_id

    return await gateway.write(unit)


async def outsider(
    gateway: Gateway, claims: Mapping[str, str] | None, immutable_id: str = "7", organization: str = ""
) -> str:
    """Somebody of an outside store, which has told these claims at a login, or nothing since; the subject."""
    here = organization or gateway.organization_id
    record = UserRecord(immutable_id, "ann", claims=claims or {})

    def unit(connection: Connection) -> str:
        subject, before = subjects.see(connection, here, "store-1", "CORP", record, utc_now())
        if claims is not None:
            learn(connection, subject, before, record)
        return subject.id

    return await gateway.write(unit)


async def test_an_api_is_told_what_it_asks_for(on_both: Gateway):
    api = await on_both.an_api(assertion_claims=("email", "given_name"))
    bob, ann = await has(on_both, BOB), await outsider(on_both, {"email": "ann@example.com"})

    assert await told(on_both, api.id, bob) == {"claims": {"emailaddress": "bob@example.com"}, "left_out": []}
    assert (await told(on_both, api.id, ann))["claims"] == {"emailaddress": "ann@example.com"}


async def test_an_api_that_does_not_ask_is_told_nothing(gateway: Gateway):
    api, bob = await gateway.an_api(), await has(gateway, BOB)

    assert await told(gateway, api.id, bob) == {"claims": {}, "left_out": []}


async def test_a_node_cannot_name_claims(gateway: Gateway):
    api, bob = await gateway.an_api(assertion_claims=("email",)), await has(gateway, BOB)

    question = {"organization_id": gateway.organization_id, "api_id": api.id, "subject": bob}
    assert (await ask(gateway, **question, claims=["salary"])).status_code == 400


async def test_another_organization_s_api_and_people_are_not_known(on_both: Gateway):
    """An API of one organization is told nothing of another's people, nor anything of it under another."""
    elsewhere = Organization(new_id(), "elsewhere", "elsewhere")
    await on_both.write(lambda c: put(c, elsewhere))
    api, bob = await on_both.an_api(assertion_claims=("email",)), await has(on_both, BOB)
    stranger = await outsider(on_both, {"email": "eve@example.com"}, organization=elsewhere.id)

    assert await told(on_both, api.id, stranger) == {"claims": {}, "left_out": ["emailaddress"]}
    answer = await ask(on_both, organization_id=elsewhere.id, api_id=api.id, subject=bob)
    assert answer.status_code == 404


async def test_a_store_that_gives_somebody_the_id_of_a_user_of_primary_tells_of_its_own_alone(
    on_both: Gateway,
):
    """Otherwise an outside store could have its user pass for ours before a backend."""
    api = await on_both.an_api(assertion_claims=("email",))
    await has(on_both, BOB)
    here = on_both.organization_id
    user = await on_both.write(lambda c: find_user(c, here, "bob"))
    assert user is not None
    double = await outsider(on_both, {"email": "eve@example.com"}, immutable_id=user.id)

    assert (await told(on_both, api.id, double))["claims"] == {"emailaddress": "eve@example.com"}


async def test_a_user_of_whom_no_store_has_told_is_not_a_user_without_claims(gateway: Gateway):
    api = await gateway.an_api(assertion_claims=("email",))
    silent, empty = await outsider(gateway, None, "8"), await outsider(gateway, {}, "9")

    assert await told(gateway, api.id, silent) == {"claims": {}, "left_out": ["emailaddress"]}
    assert await told(gateway, api.id, empty) == {"claims": {}, "left_out": []}


async def test_a_change_of_claims_is_in_the_plan_s_news_and_what_they_are_is_not(on_both: Gateway):
    bob, before = await has(on_both, BOB), await on_both.number()

    await has(on_both, BOB | {"email": "robert@example.com"})
    ann = await outsider(on_both, {"email": "ann@example.com"})
    await outsider(on_both, {"email": "ann@example.com"})

    news = (await on_both.plan(after=before)).json()["entries"]
    assert news == [{"kind": "claims", "id": id, "value": None} for id in (bob, ann)]


@pytest.mark.parametrize(
    "change",
    [
        *({"api_id": None}, {"api_id": ""}, {"api_id": "a b"}),
        *({"subject": 5}, {"subject": "x" * 256}, {"more": 1}),
    ],
)
async def test_a_question_of_another_form_is_refused(gateway: Gateway, change: dict[str, object]):
    question: dict[str, object] = {"organization_id": "o", "api_id": "a", "subject": "s"}

    answer = await ask(gateway, **(question | change))

    assert answer.status_code == 400
    assert "the body must be" in answer.json()["description"]


async def test_only_a_node_may_ask(gateway: Gateway):
    api, bob = await gateway.an_api(assertion_claims=("email",)), await has(gateway, BOB)
    gateway.http.headers["Authorization"] = "Bearer something-else"

    answer = await ask(gateway, organization_id=gateway.organization_id, api_id=api.id, subject=bob)

    assert answer.status_code == 401
    assert "bob@" not in answer.text
