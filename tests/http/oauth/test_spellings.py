"""Spellings of one name lead to one person or to several, as the store says; lock-out and roles follow."""

import unicodedata
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace

import pytest
from sqlalchemy import Connection, update
from tests.http.oauth.installation import Installation
from tests.http.oauth.test_outside_groups import PASSWORD, WRITE, Directory, clerks

from ostiary.foundation.identifiers import new_id
from ostiary.identity.powers import check_power_to_unlock
from ostiary.identity.tables import subjects
from ostiary.permissions import ADMIN, Escalation, Principal, PrincipalKind, Role, a_user, put_role

LOCK = "/permission/admin/manage/identity/authentication/lock/delete"

COMPOSED = "j\u00f6rg"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


@pytest.fixture
async def corp(on_both: Installation) -> AsyncIterator[Directory]:
    """A service that compares names as they are sent, character by character."""
    directory = Directory()
    directory.people |= {
        "bob": {"id": "1", "groups": []},
        "Bob": {"id": "2", "groups": []},
        COMPOSED: {"id": "3", "groups": []},
    }
    await directory.service.start()
    await on_both.a_client()
    yield directory
    await directory.service.stop()


async def who(installation: Installation, name: str, password: str = PASSWORD) -> tuple[str, str]:
    """The `sub` and the scope that somebody gets; the error twice where it is refused."""
    answer = await installation.token(grant_type="password", username=name, password=password, scope=WRITE)
    body = answer.json()
    if answer.status_code != 200:
        return body["error"], body["error"]
    return (await installation.introspect(body["access_token"]))["sub"], body["scope"]


@pytest.mark.parametrize(
    ("case_sensitive", "names", "people", "with_role"),
    [
        (False, ["bob", "BOB", "Bob", "\uff42\uff4f\uff42", "CORP/BOB", "BOB@my_company"], 1, 6),
        (True, ["Bob", "bob", "CORP/Bob", "corp/bob", "\uff22ob", "\uff42ob"], 2, 3),
        (False, [COMPOSED, DECOMPOSED, COMPOSED.upper(), DECOMPOSED.upper()], 1, 0),
        (True, [COMPOSED, DECOMPOSED], 1, 0),
    ],
    ids=["any case", "each case", "composed or not, in any case", "composed or not"],
)
async def test_spellings_are_one_person_or_several_as_the_store_says(
    on_both: Installation,
    corp: Directory,
    case_sensitive: bool,
    names: list[str],
    people: int,
    with_role: int,
):
    await corp.connect(on_both, "CORP", case_sensitive=case_sensitive)
    await clerks(on_both, a_user("CORP/Bob" if case_sensitive else "CORP/bob"))

    found = [await who(on_both, name) for name in names]

    assert len({sub for sub, _ in found}) == people
    assert [scope for _, scope in found].count(WRITE) == with_role
    assert "invalid_grant" not in dict(found)


async def test_guesses_at_every_spelling_are_counted_together(on_both: Installation, corp: Directory):
    await corp.connect(on_both, "CORP")
    for name in ("bob", "BOB", "Bob", "bOB", "\uff42ob", "CORP/bob", "corp/BOB", "bob@my_company") * 3:
        await who(on_both, name, "wrong")

    assert [(await who(on_both, name))[0] for name in ("bob", "BOB")] == ["invalid_grant"] * 2


async def test_where_case_matters_spellings_are_several_people_with_one_count(
    on_both: Installation, corp: Directory
):
    """Only the store knows whether it matters there too; where not, each spelling would be more guesses."""
    await corp.connect(on_both, "CORP", case_sensitive=True)
    for name in ("bob", "CORP/bob", "\uff42ob", "bob@my_company") * 6:
        await who(on_both, name, "wrong")

    locked, other = await who(on_both, "bob"), await who(on_both, "Bob")

    assert locked[0] == other[0] == "invalid_grant"


async def test_who_is_counted_with_somebody_stronger_is_let_in_by_who_has_power_over_both(
    on_both: Installation, corp: Directory
):
    """Attack: a help desk lifts the lock of `bob` again and again, and guesses at the administrator `Bob`."""
    await corp.connect(on_both, "CORP", case_sensitive=True)
    (bob, _), (other, _) = await who(on_both, "bob"), await who(on_both, "Bob")
    here = on_both.organization.id
    desk = Principal(PrincipalKind.USER, "lee", here, "lee", permissions=frozenset({LOCK}))

    def judge(caller: Principal) -> Awaitable[None]:
        return on_both.database.read(lambda c: check_power_to_unlock(c, caller, here, bob))

    await judge(desk)  # so far nobody there is an administrator
    role = Role(new_id(), here, "chief", (ADMIN,), frozenset({a_user("CORP/Bob")}))
    await on_both.database.write(lambda c: put_role(c, role))

    with pytest.raises(Escalation):
        await judge(desk)
    await judge(replace(desk, permissions=frozenset({ADMIN})))
    assert bob != other


async def test_a_former_name_that_somebody_stronger_bears_now_is_not_let_in_with_the_weaker(
    on_both: Installation, corp: Directory
):
    """Counters are by name: lifting the lock of who had it before would begin the other's count anew."""
    await corp.connect(on_both, "CORP")
    bob, _ = await who(on_both, "bob")
    here = on_both.organization.id
    desk = Principal(PrincipalKind.USER, "lee", here, "lee", permissions=frozenset({LOCK}))

    def renamed(connection: Connection) -> None:
        where = subjects.c.id == bob
        connection.execute(update(subjects).where(where).values(username="robert", known_as="bob"))
        role = Role(new_id(), here, "chief", (ADMIN,), frozenset({a_user("CORP/bob")}))
        put_role(connection, role)

    await on_both.database.write(renamed)

    with pytest.raises(Escalation):
        await on_both.database.read(lambda c: check_power_to_unlock(c, desk, here, bob))


@pytest.mark.parametrize("name", ["b\u043eb", "bob\u200d", "bo b", "bob\u0301"])
async def test_a_name_that_only_looks_like_another_is_nobodys(
    on_both: Installation, corp: Directory, name: str
):
    await corp.connect(on_both, "CORP")

    assert (await who(on_both, name))[0] == "invalid_grant"
