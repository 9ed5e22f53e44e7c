"""What every user store promises of a login, asked of each adapter."""

import pytest
from pydantic import SecretStr
from tests.contract.user_stores.adapters import Adapter

from ostiary.identity.user_stores.contract import Refused


async def test_the_right_password_gives_the_users_record(adapter: Adapter):
    record = await adapter.store.authenticate("testuser", SecretStr(adapter.password))

    assert record is not None
    assert record.username == "testuser"
    assert (record.immutable_id == "testuser") is adapter.names_are_ids


async def test_the_same_user_has_the_same_immutable_id_each_time(adapter: Adapter):
    records = [await adapter.store.authenticate("testuser", SecretStr(adapter.password)) for _ in range(2)]

    assert records[0] == records[1]


@pytest.mark.parametrize("password", ["wrong", "Secret", "secret ", "secret\u0301", "*", "secre", "s" * 1024])
async def test_a_wrong_password_is_refused(adapter: Adapter, password: str):
    with pytest.raises(Refused) as refusal:
        await adapter.store.authenticate("testuser", SecretStr(password))

    assert refusal.value.certain is adapter.tells_unknown_from_wrong


@pytest.mark.parametrize(
    "username",
    [
        "ghost",
        "*",
        "testuser*",
        "a'or'1'='1",
        'x","password":"y',
        "testuser)(uid=*",
        "testuser,ou=x",
        "uid=testuser",
    ],
)
async def test_an_unknown_user_is_nobody_or_an_uncertain_refusal(adapter: Adapter, username: str):
    if adapter.tells_unknown_from_wrong:
        assert await adapter.store.authenticate(username, SecretStr(adapter.password)) is None
        return
    with pytest.raises(Refused) as refusal:
        await adapter.store.authenticate(username, SecretStr(adapter.password))
    assert not refusal.value.certain


async def test_a_name_in_another_case_is_somebody_else_or_the_same_name(adapter: Adapter):
    try:
        record = await adapter.store.authenticate("TESTUSER", SecretStr(adapter.password))
    except Refused:
        record = None

    assert (record is None) is adapter.case_matters
    assert record is None or record.username == "testuser"


async def test_a_store_that_runs_can_be_asked(adapter: Adapter):
    await adapter.store.probe()
