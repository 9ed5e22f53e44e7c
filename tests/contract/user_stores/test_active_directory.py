"""What Active Directory says of its accounts, at a real domain controller (Samba)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.active_directory import BASE, PASSWORD, READER, READER_PASSWORD, ActiveDirectory
from tests.support.certificates import Authority

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import PasswordHasher
from ostiary.identity.user_stores.contract import KnownUser, Refused, UserRecord
from ostiary.identity.user_stores.ldap.service import LDAPService, make_ldap
from ostiary.identity.user_stores.ldap.settings import ADSettings
from ostiary.identity.user_stores.steps import watched
from ostiary.identity.user_stores.surroundings import Surroundings


@pytest.fixture(scope="module")
def people(domain: ActiveDirectory) -> ActiveDirectory:
    domain.user("disabled")
    domain.tool("user", "disable", "disabled")
    domain.user("expired")
    domain.tool("user", "setexpiry", "expired", "--days=0")
    domain.user("must-change", PASSWORD, "--must-change-at-next-login")
    domain.user("locked")
    domain.user("nested")
    domain.group("inner", "nested")
    domain.group("outer", "inner")
    return domain


@pytest.fixture
async def make(people: ActiveDirectory, authority: Authority) -> AsyncIterator[Any]:
    made: list[LDAPService] = []

    def store(**changes: Any) -> LDAPService:
        settings = ADSettings.read(
            {
                "urls": [people.url],
                "ca": authority.ca,
                "bind": {"dn": READER, "password": READER_PASSWORD},
                "users": {"base": BASE},
            }
            | changes
        )
        made.append(make_ldap(settings, Surroundings(OutboundPolicy(), PasswordHasher())))  # type: ignore[arg-type]
        return made[-1]

    yield store
    for one in made:
        await one.close()


async def record_of(store: LDAPService, name: str) -> UserRecord:
    record = await store.authenticate(name, SecretStr(PASSWORD))
    assert record is not None
    return record


async def test_a_person_has_its_guid_and_its_groups(make: Any):
    record = await record_of(make(), "testuser")

    assert record.username == "testuser"
    assert [len(part) for part in record.immutable_id.split("-")] == [8, 4, 4, 4, 12]
    assert record.groups == {"sales"}


async def test_account_name_and_principal_name_are_one_person(make: Any):
    store = make()

    assert await record_of(store, "testuser@corp.example") == await record_of(store, "testuser")


async def test_groups_of_groups_are_found_by_the_servers_own_rule(make: Any):
    chain = "(member:1.2.840.113556.1.4.1941:={dn})"
    store = make(groups={"base": BASE, "filter": chain})

    assert (await record_of(store, "nested")).groups == {"inner", "outer"}


async def test_groups_of_groups_are_found_one_by_one(make: Any):
    store = make(groups={"base": BASE, "member_of": "memberOf", "nested": True})

    assert (await record_of(store, "nested")).groups == {"inner", "outer"}


@pytest.mark.parametrize(
    ("name", "password", "meaning"),
    [
        ("testuser", "wrong", "wrong password, code 52e"),
        ("disabled", PASSWORD, "the account is disabled, code 533"),
        ("expired", PASSWORD, "the account has expired, code 701"),
        ("must-change", PASSWORD, "the password must be changed, code 773"),
    ],
)
async def test_every_refusal_is_one_for_the_client_and_told_apart_for_the_operator(
    make: Any, name: str, password: str, meaning: str
):
    with watched() as steps, pytest.raises(Refused) as refusal:
        await make().authenticate(name, SecretStr(password))

    assert (refusal.value.certain, refusal.value.meaning) == (True, meaning)
    assert meaning not in str(refusal.value)
    assert [step.facts["meaning"] for step in steps.found if step.what == "refused"] == [meaning]


LEAVING = {
    "disabled": ("user", "disable", "{name}"),
    "expired": ("user", "setexpiry", "{name}", "--days=0"),
    "must change": (
        "user",
        "setpassword",
        "{name}",
        "--newpassword=Other-123",
        "--must-change-at-next-login",
    ),
}


@pytest.mark.parametrize("how", LEAVING)
async def test_who_may_not_log_in_any_more_is_refused_without_a_password(
    make: Any, people: ActiveDirectory, how: str
):
    name, store = f"leaving-{how.split()[0]}", make()
    people.user(name)
    record = await record_of(store, name)
    user = KnownUser(record.immutable_id, name, name)
    before = await store.look_up(user)

    people.tool(*(part.format(name=name) for part in LEAVING[how]))

    assert before == record
    with pytest.raises(Refused):
        await store.look_up(user)


async def test_a_lock_by_wrong_passwords_ends_nothing(make: Any, people: ActiveDirectory):
    people.user("attacked")
    people.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=2")
    store = make()
    record = await record_of(store, "attacked")
    try:
        for password in ("wrong", "wrong", "wrong", PASSWORD):
            with pytest.raises(Refused):
                await store.authenticate("attacked", SecretStr(password))
        found = await store.look_up(KnownUser(record.immutable_id, "attacked", "attacked"))
    finally:
        people.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=0")

    assert found == record


async def test_a_locked_account_is_told_apart(make: Any, people: ActiveDirectory):
    people.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=3")
    store = make()
    try:
        with watched() as steps:
            for password in ("wrong", "wrong", "wrong", "wrong", PASSWORD):
                with pytest.raises(Refused):
                    await store.authenticate("locked", SecretStr(password))
    finally:
        people.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=0")

    meanings = [step.facts["meaning"] for step in steps.found if step.what == "refused"]
    assert meanings[-1] == "the account is locked, code 775"
