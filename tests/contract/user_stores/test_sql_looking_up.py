"""Reading a person's row again without a password: what only a database can do wrong."""

import itertools
from typing import Any

import pytest
from tests.support.sql_servers import GROUPS_QUERY, ID_QUERY, SECRET_HASH, PostgreSQL
from tests.support.sql_stores import Stores, record_of

from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.contract import KnownUser, Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.sql.settings import SQLSettings

NUMBERS = itertools.count(5000)
BY_ADDRESS = "SELECT id, login AS name, password_hash AS hash, active FROM customers WHERE email = :username"


@pytest.fixture
def name(postgresql: PostgreSQL) -> str:
    """A customer of this test's own, with an address and a group."""
    number = next(NUMBERS)
    row = f"({number}, 'customer{number}', '{SECRET_HASH}', TRUE, 'c{number}@shop.example', NULL)"
    postgresql.run(
        f"INSERT INTO customers VALUES {row}", f"INSERT INTO customer_groups VALUES ({number}, 'sales')"
    )
    return f"customer{number}"


def known(record: UserRecord, as_: str | None = None) -> KnownUser:
    return KnownUser(record.immutable_id, as_ or record.username, record.username)


async def test_somebody_who_is_renamed_is_found_by_id_alone(
    postgres: Stores, postgresql: PostgreSQL, name: str
):
    """By name nobody can tell a renamed person from one who is gone."""
    by_id = postgres.make(id_query=ID_QUERY, groups_query=GROUPS_QUERY)
    by_name = postgres.make(groups_query=GROUPS_QUERY)
    record = await record_of(by_id, name)
    postgresql.run(f"UPDATE customers SET login = '{name}-new' WHERE login = '{name}'")

    found = [await store.look_up(known(record)) for store in (by_id, by_name)]

    assert found == [UserRecord(record.immutable_id, f"{name}-new", frozenset({"sales"})), None]


async def test_a_person_is_asked_about_by_the_name_that_was_accepted(postgres: Stores, name: str):
    """Which need not be the person's own: here people log in by address."""
    store = postgres.make(user_query=BY_ADDRESS)
    address = f"{name.replace('customer', 'c')}@shop.example"
    record = await record_of(store, address)

    assert record.username == name
    assert await store.look_up(known(record, address)) == record


async def test_groups_are_those_of_now(postgres: Stores, postgresql: PostgreSQL, name: str):
    store = postgres.make(groups_query=GROUPS_QUERY)
    record = await record_of(store, name)
    postgresql.run(f"DELETE FROM customer_groups WHERE customer_id = {record.immutable_id}")

    found = await store.look_up(known(record))

    assert found is not None
    assert (record.groups, found.groups) == ({"sales"}, frozenset())


@pytest.mark.parametrize("change", ["active = FALSE", "active = NULL", "password_hash = NULL"])
async def test_a_row_that_lets_nobody_in_ends_what_goes_on(
    postgres: Stores, postgresql: PostgreSQL, name: str, change: str
):
    store = postgres.make()
    record = await record_of(store, name)
    postgresql.run(f"UPDATE customers SET {change} WHERE login = '{name}'")

    with pytest.raises(Refused):
        await store.look_up(known(record))


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "postgresql://reader@127.0.0.1:1/shop"},
        {"password": "wrong"},
        {"id_query": "SELECT id FROM nowhere WHERE id = :id"},
        {"id_query": "SELECT login FROM customers WHERE id = :id"},
        {"id_query": "SELECT id FROM customers WHERE id > 0 OR id = :id"},
        {"groups_query": "SELECT name FROM nowhere WHERE customer_id = :id"},
    ],
)
async def test_what_cannot_be_asked_takes_nobody_for_gone(postgres: Stores, changes: dict[str, Any]):
    record = await record_of(postgres.make())

    with pytest.raises(StoreUnavailable):
        await postgres.make(**changes).look_up(known(record))


async def test_a_query_that_is_wrong_is_found_before_it_is_needed(postgres: Stores):
    with pytest.raises(StoreUnavailable) as outage:
        await postgres.make(id_query="SELECT id FROM nowhere WHERE id = :id").probe()

    assert outage.value.reason.startswith("id_query: there is no such table")


@pytest.mark.parametrize("query", ["SELECT 1", "SELECT :id, :username", "DELETE FROM shop WHERE id = :id"])
def test_a_query_by_id_has_that_parameter_and_no_other(query: str):
    with pytest.raises(InvalidUserStore):
        SQLSettings.read(
            {"url": "sqlite:///x", "user_query": "SELECT :username AS id, 1 AS hash", "id_query": query}
        )
