"""What belongs to users of outside stores: groups, roles by name, and what ends when a store says less."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.http.oauth.installation import Installation
from tests.http.oauth.test_refresh import NOT_VALID
from tests.support.http_service import Answer, HTTPService, Seen
from tests.support.identity import BOX, PATIENT

from ostiary.identity import StoreOptions, UserStoreSpec, put_user_store, read_user_store_settings
from ostiary.permissions import MemberName, a_group, a_user, find_role, pins_of, put_role, unpin

PASSWORD = "its-password"
WRITE = "orders:write"


class Directory:
    """An outside store; each of `people` has an id and groups, and all have one password."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.service = HTTPService(self._answer)

    def _answer(self, request: Seen) -> Answer:
        said = json.loads(request.body)
        person = self.people.get(said["user"])
        right = person is not None and said["secret"] == PASSWORD
        return (200, {"ok": True, **person}) if person and right else (200, {"ok": False})

    async def connect(self, installation: Installation, name: str, **options: Any) -> None:
        """Make it a user store, or change what the store is."""
        settings = read_user_store_settings(
            "rest",
            {
                "url": self.service.url,
                "request": {"body": {"user": "{username}", "secret": "{password}"}},
                "response": {"accepted": "ok", "refused": "!ok", "id": "id", "groups": "groups"},
            },
        )
        here = installation.organization.id
        spec = UserStoreSpec(here, name, "rest", settings, StoreOptions(**{**PATIENT, **options}))
        await installation.database.write(lambda c: put_user_store(c, spec, BOX))


@pytest.fixture
async def corp(on_both: Installation) -> AsyncIterator[Directory]:
    directory = Directory()
    directory.people["ann"] = {"id": "1", "groups": ["sales", "staff"]}
    await directory.service.start()
    await directory.connect(on_both, "CORP")
    await on_both.a_client()
    yield directory
    await directory.service.stop()


async def clerks(installation: Installation, *members: Any) -> None:
    await installation.a_role("clerk", *members)
    await installation.a_scope(WRITE, roles=["clerk"])


async def log_in(installation: Installation, username: str = "ann") -> dict[str, Any]:
    answer = await installation.token(
        grant_type="password", username=username, password=PASSWORD, scope=WRITE
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_group_of_a_store_gives_what_its_role_gives(on_both: Installation, corp: Directory):
    await clerks(on_both, a_group("CORP/sales"))
    corp.people["joe"] = {"id": "2", "groups": ["staff"]}

    scopes = [(await log_in(on_both, who))["scope"] for who in ("ann", "joe")]

    assert scopes == [WRITE, "default"]


@pytest.mark.parametrize("group", ["EXTERNAL/sales", "sales", "CORP/Sales", "CORP/sale", "CORP/sales/x"])
async def test_a_group_of_another_name_or_store_gives_nothing(
    on_both: Installation, corp: Directory, group: str
):
    await clerks(on_both, a_group(group))

    assert (await log_in(on_both))["scope"] == "default"


async def test_leaving_a_group_ends_the_tokens_it_widened(on_both: Installation, corp: Directory):
    """The store says so at a later login, of whichever client; refresh gives what holds then."""
    await clerks(on_both, a_group("CORP/sales"))
    before = await log_in(on_both)
    corp.people["ann"]["groups"] = ["staff"]

    after = await log_in(on_both)

    told = [(await on_both.introspect(body["access_token"]))["active"] for body in (before, after)]
    refreshed = (await on_both.refresh(before["refresh_token"])).json()
    assert (told, after["scope"], refreshed["scope"]) == ([False, True], "default", "default")


async def test_a_group_that_is_new_ends_no_token_and_widens_none(on_both: Installation, corp: Directory):
    await clerks(on_both, a_group("CORP/chiefs"))
    before = await log_in(on_both)
    corp.people["ann"]["groups"].append("chiefs")

    after = await log_in(on_both)

    refreshed = (await on_both.refresh(before["refresh_token"])).json()
    assert (await on_both.introspect(before["access_token"]))["active"]
    assert (before["scope"], after["scope"], refreshed["scope"]) == ("default", WRITE, "default")


async def test_a_namesake_made_later_outside_inherits_no_role(on_both: Installation, corp: Directory):
    """A role's user is pinned to the immutable id at first match."""
    await clerks(on_both, a_user("CORP/ann"))
    first = await log_in(on_both)
    corp.people["ann"] = {"id": "another", "groups": []}

    second = await log_in(on_both)

    subs = [(await on_both.introspect(body["access_token"]))["sub"] for body in (first, second)]
    assert (first["scope"], second["scope"]) == (WRITE, "default")
    assert subs[0] != subs[1]


async def test_one_name_and_id_in_two_stores_are_two_people(on_both: Installation, corp: Directory):
    """wso2/api-manager#3835: the same user name in two stores."""
    await clerks(on_both, a_user("CORP/ann"), a_group("CORP/sales"))
    await corp.connect(on_both, "OTHER")

    answers = [await log_in(on_both, who) for who in ("CORP/ann", "OTHER/ann")]

    told = [await on_both.introspect(body["access_token"]) for body in answers]
    assert [body["scope"] for body in answers] == [WRITE, "default"]
    assert told[0]["sub"] != told[1]["sub"]


async def test_a_store_that_is_switched_off_ends_tokens_and_refresh_of_its_users(
    on_both: Installation, corp: Directory
):
    """Refresh goes on when it is switched on again; tokens that were out stay refused."""
    first = await log_in(on_both)
    await corp.connect(on_both, "CORP", enabled=False)

    active = (await on_both.introspect(first["access_token"]))["active"]
    refused = await on_both.refresh(first["refresh_token"])
    await corp.connect(on_both, "CORP")

    assert (active, refused.json()) == (False, NOT_VALID)
    assert (await on_both.refresh(first["refresh_token"])).status_code == 200


async def test_a_store_says_how_long_its_last_word_holds(on_both: Installation, corp: Directory):
    await corp.connect(on_both, "CORP", reauthenticate_after_seconds=60)
    first = await log_in(on_both)
    on_both.clock.advance(timedelta(seconds=61))

    assert (await on_both.refresh(first["refresh_token"])).json() == NOT_VALID


async def test_a_name_that_another_group_of_the_person_looks_like_gives_nothing(
    on_both: Installation, corp: Directory
):
    """The log says so; the client is told nothing."""
    await clerks(on_both, a_group("CORP/sales"))
    corp.people["ann"]["groups"] = ["sales", "Sales"]
    corp.people["eve"] = {"id": "2", "groups": ["Sales "]}

    with capture_logs() as logs:
        bodies = [await log_in(on_both, who) for who in ("ann", "eve")]

    assert [body["scope"] for body in bodies] == ["default", "default"]
    assert "ambiguous" not in str(bodies)
    warnings = [line for line in logs if line["event"] == "ambiguous_groups"]
    assert [(line["user"], line["store"], line["groups"]) for line in warnings] == [
        ("CORP/ann@my_company", "CORP", ["Sales", "sales"])
    ]


async def test_a_group_that_becomes_ambiguous_ends_the_tokens_it_widened(
    on_both: Installation, corp: Directory
):
    await clerks(on_both, a_group("CORP/sales"))
    before = await log_in(on_both)
    corp.people["ann"]["groups"] = ["sales", "SALES"]

    await log_in(on_both)

    assert not (await on_both.introspect(before["access_token"]))["active"]
    assert (await on_both.refresh(before["refresh_token"])).json()["scope"] == "default"


async def test_a_role_that_lists_a_name_is_not_for_the_refresh_of_who_had_the_name_before(
    on_both: Installation, corp: Directory
):
    """Only a login shows who bears a name outside; a refresh token remembers who did."""
    await clerks(on_both, a_group("CORP/sales"))
    of_old_ann = await log_in(on_both)
    corp.people["ann"] = {"id": "another", "groups": []}
    role = await on_both.database.read(lambda c: find_role(c, on_both.organization.id, "clerk"))
    assert role is not None
    listed = replace(role, members=frozenset({a_user("CORP/ann")}))
    await on_both.database.write(lambda c: put_role(c, listed))

    refreshed = (await on_both.refresh(of_old_ann["refresh_token"])).json()
    of_new_ann = await log_in(on_both)

    assert (refreshed["scope"], of_new_ann["scope"]) == ("default", WRITE)


async def test_letting_a_pinned_name_go_ends_what_it_gave_at_once(on_both: Installation, corp: Directory):
    """A person left, and the name is somebody else's: the role follows the name on purpose."""
    await clerks(on_both, a_user("CORP/ann"))
    before = await log_in(on_both)
    corp.people["ann"] = {"id": "another", "groups": []}
    locked_out = await log_in(on_both)
    here = on_both.organization.id
    pins = await on_both.database.read(lambda c: pins_of(c, here, "clerk"))

    await on_both.database.write(lambda c: unpin(c, here, "clerk", pins[0].subject_id))

    active = (await on_both.introspect(before["access_token"]))["active"]
    refreshed = (await on_both.refresh(before["refresh_token"])).json()["scope"]
    after = await log_in(on_both)
    assert [str(pin.member) for pin in pins] == ["CORP/ann"]
    assert (locked_out["scope"], active, refreshed, after["scope"]) == ("default", False, "default", WRITE)


async def test_a_user_of_primary_may_get_a_role_back_without_a_login(on_both: Installation):
    """There a name goes to somebody else only when its user is deleted, and then nothing goes on."""
    await on_both.a_user("bob")
    await on_both.a_client()
    await clerks(on_both, a_user("bob"))
    before = await on_both.password_token(scope=WRITE)
    role = await on_both.database.read(lambda c: find_role(c, on_both.organization.id, "clerk"))
    assert role is not None
    for members in (frozenset[MemberName](), role.members):
        changed = replace(role, members=members)
        await on_both.database.write(lambda c, changed=changed: put_role(c, changed))

    assert (await on_both.refresh(before["refresh_token"])).json()["scope"] == WRITE
