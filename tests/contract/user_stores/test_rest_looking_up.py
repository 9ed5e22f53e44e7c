"""Asking a login service about somebody without a password: what its answers mean."""

from typing import Any

import pytest
from tests.support.http_service import Seen
from tests.support.login_shapes import LEGACY, LEGACY_LOOK_UP, Stores, record_of

from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.contract import KnownUser, LoginService, Refused, StoreUnavailable
from ostiary.identity.user_stores.rest.settings import RESTSettings

ANN = KnownUser("4711", "ann", "ann")
SAID = {"active": True, "userId": 4711, "groups": ["sales"], "mail": "ann@legacy.example"}


async def asked(store: LoginService) -> str:
    """What came of it, in a few words."""
    try:
        record = await store.look_up(ANN)
    except Refused:
        return "barred"
    except StoreUnavailable as outage:
        return f"unavailable: {outage.reason}"
    return "gone" if record is None else f"{record.username} in {sorted(record.groups)}"


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        (200, SAID, "ann in ['sales']"),
        (404, b"<html>", "gone"),
        (200, SAID | {"active": False}, "barred"),
        (200, SAID | {"userId": 4712}, "gone"),
        (200, SAID | {"active": "yes"}, "unavailable: not_the_agreed_form"),
        (200, SAID | {"active": None}, "unavailable: not_the_agreed_form"),
        (200, {"active": True}, "unavailable: response.id finds nothing in the answer"),
        (200, b"", "unavailable: not_the_agreed_form"),
        (200, b"<html>", "unavailable: not_the_agreed_form"),
        (401, b"", "unavailable: look_up: status_401"),
        (204, b"", "unavailable: look_up: status_204"),
        (302, b"", "unavailable: look_up: status_302"),
        (500, b"", "unavailable: look_up: status_500"),
    ],
)
async def test_an_answer_without_a_meaning_takes_nobody_for_gone(
    shaped: Stores, status: int, said: Any, outcome: str
):
    service = await shaped.service(lambda _: (status, said))
    look_up = {"url": f"{service.url}/people/{{id}}", **LEGACY_LOOK_UP}

    assert await asked(shaped.store(url=service.url, **LEGACY, look_up=look_up)) == outcome


async def test_groups_and_claims_may_come_from_further_requests(shaped: Stores):
    def answer(request: Seen) -> tuple[int, Any]:
        if request.method == "POST":
            return 200, {"result": {"code": 0, "userId": 4711}}
        if request.target.endswith("/groups"):
            return 200, {"groups": ["sales", "stars"]}
        return 200, {"name": "anna"}

    service = await shaped.service(answer)
    response = {"accepted": "result.code == `0`", "id": "result.userId"}
    store = shaped.store(
        url=service.url,
        request=LEGACY["request"],
        response=response,
        look_up={"url": f"{service.url}/people/{{id}}", "name": "name"},
        attributes=[{"url": f"{service.url}/people/{{id}}/groups", "groups": "groups"}],
    )
    record = await record_of(store)

    found = await store.look_up(KnownUser(record.immutable_id, "testuser", "testuser"))

    assert found is not None
    assert (found.username, found.groups) == ("anna", record.groups)


async def test_a_service_that_finds_somebody_made_up_is_no_use(shaped: Stores):
    """It would say of nobody that they are gone, and refresh would have no end."""
    service = await shaped.service(lambda r: (200, {"response": {"status": "false"}} if r.body else SAID))
    store = shaped.store(url=service.url, look_up={"url": f"{service.url}/{{username}}"})

    with pytest.raises(StoreUnavailable) as outage:
        await store.probe()

    assert outage.value.reason.startswith("look_up finds somebody made up")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"look_up": {**LEGACY_LOOK_UP, "url": "https://x/people"}}, "{id} in the 'url'"),
        ({"look_up": {**LEGACY_LOOK_UP, "url": "https://x/{username}", "id": None}}, "or its 'id'"),
        ({"look_up": {"url": "https://x/{id}", "claims": {"email": "mail"}}}, "'groups' in 'look_up'"),
        ({"look_up": {"url": "https://x/{id}", "groups": "groups"}}, "the claim 'email'"),
        ({"look_up": {**LEGACY_LOOK_UP, "url": "https://x/{id}", "unknown_status": []}}, "at least 1"),
        ({"look_up": {**LEGACY_LOOK_UP, "url": "https://x/{id}/{password}"}}, "no placeholder {password}"),
        ({"look_up": {**LEGACY_LOOK_UP, "url": "http://elsewhere.example/{id}"}}, "https"),
    ],
)
def test_a_look_up_that_would_mislead_is_refused(changes: dict[str, Any], expected: str):
    with pytest.raises(InvalidUserStore) as error:
        RESTSettings.read({"url": "https://x/", **LEGACY, **changes}).check(None)

    assert expected in str(error.value)


def test_another_address_of_the_look_up_clears_the_secrets():
    """They would be sent there."""
    looks = [{"url": f"https://{host}/{{id}}"} for host in ("one", "other")]
    one, other = [RESTSettings.read({"url": "https://one/", "look_up": look_up}) for look_up in looks]

    assert one.service() != other.service()
