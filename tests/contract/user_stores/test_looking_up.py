"""What every user store promises of a look-up without a password, asked of each adapter."""

from dataclasses import dataclass

import pytest
from pydantic import SecretStr
from tests.contract.user_stores.adapters import BLIND, NUMBERS, SEEING, Adapter, Staff

from ostiary.identity.user_stores.contract import KnownUser, Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.guarded import GuardedUserStore


async def looked_up(adapter: Adapter, user: KnownUser) -> UserRecord | None:
    assert isinstance(adapter.store, GuardedUserStore)
    return await adapter.store.look_up(user)


@dataclass(frozen=True)
class Hired:
    """Somebody who was hired and has logged in."""

    adapter: Adapter
    staff: Staff
    name: str
    record: UserRecord

    async def look_up(self) -> UserRecord | None:
        """Ask about who this was."""
        return await looked_up(self.adapter, known(self.record, self.name))


def known(record: UserRecord, name: str = "testuser") -> KnownUser:
    return KnownUser(record.immutable_id, name, record.username)


@pytest.fixture
async def hired(adapter: Adapter) -> Hired:
    assert adapter.staff is not None
    name = f"hired{next(NUMBERS)}"
    adapter.staff.hire(name)
    record = await adapter.store.authenticate(name, SecretStr(adapter.password))
    assert record is not None
    return Hired(adapter, adapter.staff, name, record)


@pytest.mark.parametrize("adapter", SEEING, indirect=True)
async def test_who_has_logged_in_is_told_the_same_of_without_a_password(adapter: Adapter):
    record = await adapter.store.authenticate("testuser", SecretStr(adapter.password))
    assert record is not None

    assert await looked_up(adapter, known(record)) == record


@pytest.mark.parametrize("adapter", SEEING, indirect=True)
async def test_who_is_deleted_is_nobody(hired: Hired):
    hired.staff.dismiss(hired.name)

    assert await hired.look_up() is None


@pytest.mark.parametrize("adapter", SEEING, indirect=True)
async def test_who_is_disabled_is_there_and_refused(hired: Hired):
    if hired.staff.disable is None:
        return
    hired.staff.disable(hired.name)

    with pytest.raises(Refused) as refusal:
        await hired.look_up()

    assert refusal.value.meaning


@pytest.mark.parametrize("adapter", SEEING, indirect=True)
async def test_somebody_new_of_the_same_name_is_not_who_was_asked_about(hired: Hired):
    hired.staff.dismiss(hired.name)
    hired.staff.hire(hired.name)

    found = await hired.look_up()

    assert (found is None) is not hired.adapter.names_are_ids


@pytest.mark.parametrize("adapter", SEEING, indirect=True)
@pytest.mark.parametrize("id_", ["*", "1'or'1'='1", "x)(uid=*", "/../1", "4711?x", "00", " "])
async def test_no_identifier_finds_anybody_by_what_it_looks_like(adapter: Adapter, id_: str):
    name = id_ if adapter.names_are_ids else "testuser"
    try:
        found = await looked_up(adapter, KnownUser(id_, name, name))
    except StoreUnavailable:  # a database that does not compare the two
        found = None

    assert found is None


@pytest.mark.parametrize("adapter", BLIND, indirect=True)
async def test_a_store_that_cannot_be_asked_says_so(adapter: Adapter):
    with pytest.raises(StoreUnavailable):
        await looked_up(adapter, KnownUser("testuser", "testuser", "testuser"))
