"""/api/identity/v1/roles/{role}/pins: whom names in roles are pinned to."""

from datetime import datetime

import httpx2
import pytest
from tests.support.identity import World

from ostiary.foundation.identifiers import new_id
from ostiary.organizations import minimums
from ostiary.permissions import PROTECTED, Member, Role, a_client, a_group, a_user, holdings_of, put_role

PINS = "/roles/clerk/pins"


@pytest.fixture
async def clerks(world: World) -> None:
    members = frozenset({a_user("bob"), a_user("CORP/ann"), a_group("CORP/sales"), a_client("mobile")})
    role = Role(new_id(), world.organization.id, "clerk", members=members)
    await world.database.write(lambda c: put_role(c, role))


async def log_in(world: World, username: str = "bob") -> str:
    user = await world.log_in(username)
    subject = user.subject
    member = Member(subject.id, subject.store, subject.username)
    await world.database.write(lambda c: holdings_of(c, world.organization.id, member))
    return subject.id


async def test_who_has_been_seen_is_shown(api: httpx2.AsyncClient, world: World, clerks: None):
    before = (await api.get(PINS)).json()
    await world.user("bob")
    sub = await log_in(world)

    (pin,) = (await api.get(PINS)).json()["pins"]

    assert before == {"pins": []}
    assert (pin["user"], pin["sub"]) == ("bob", sub)
    assert datetime.fromisoformat(pin["first_seen_at"]) <= datetime.fromisoformat(pin["last_login_at"])
    assert len(pin["id_in_store"]) == 36


async def test_a_name_that_is_let_go_is_pinned_to_whoever_bears_it_next(
    api: httpx2.AsyncClient, world: World, clerks: None
):
    await world.user("bob")
    old = await log_in(world)
    await api.delete("/users/bob")
    await world.user("bob")
    new = await log_in(world)
    kept = (await api.get(PINS)).json()["pins"][0]["sub"]

    answer = await api.delete(f"{PINS}/{old}")

    narrowed = await world.database.read(lambda c: set(minimums(c, world.organization.id)))
    await log_in(world)
    assert (answer.status_code, kept) == (204, old)
    assert ("subject", old) in narrowed
    assert [pin["sub"] for pin in (await api.get(PINS)).json()["pins"]] == [new]


@pytest.mark.parametrize("path", ["/roles/nobody/pins", "/roles/clerk%00/pins", "/roles/%ED%A0%80/pins"])
async def test_a_role_that_is_not_there_has_no_pins(api: httpx2.AsyncClient, clerks: None, path: str):
    answers = [await api.get(path), await api.delete(f"{path}/{new_id()}")]

    assert [answer.status_code for answer in answers] == [404, 404]


@pytest.mark.parametrize("sub", ["x", "%00", "%ED%A0%80", "0" * 36])
async def test_letting_go_of_nobody_is_a_404(api: httpx2.AsyncClient, clerks: None, sub: str):
    assert (await api.delete(f"{PINS}/{sub}")).status_code == 404


async def test_pins_are_for_those_who_may_see_roles(api: httpx2.AsyncClient, clerks: None):
    calls = [("GET", PINS), ("DELETE", f"{PINS}/{new_id()}")]

    answers = [await api.request(*call, headers={"X-Caller": "somebody"}) for call in calls]

    assert [answer.status_code for answer in answers] == [403, 403]


async def test_a_name_is_let_go_by_whoever_holds_what_the_role_gives(
    api: httpx2.AsyncClient, world: World, clerks: None
):
    """Whoever answers for the name's next bearer could get hold of the role (no escalation)."""
    strong = Role(new_id(), world.organization.id, "strong", (PROTECTED,), frozenset({a_user("bob")}))
    await world.database.write(lambda c: put_role(c, strong))
    await world.user("bob")
    sub = await log_in(world)

    answer = await api.delete(f"/roles/strong/pins/{sub}")

    assert answer.status_code == 403
    assert [pin["sub"] for pin in (await api.get("/roles/strong/pins")).json()["pins"]] == [sub]
