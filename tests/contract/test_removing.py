"""What a removed organization leaves: nothing in any table, whatever tables there come to be (ADR 0023)."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Boolean, Connection, String, Table, event, func, insert, select
from tests.conftest import create_tables
from tests.support.identity import AdvancingClock

import ostiary.app.wiring  # every slice, so that every table is known
from ostiary.foundation.audit.tables import audit_person_keys, audit_signing_keys
from ostiary.foundation.database import Database, Instant, metadata, write_engine
from ostiary.foundation.events import outbox
from ostiary.gateway import ROWS_IN_THE_PLAN
from ostiary.gateway.plan import Kind
from ostiary.identity.founding import add_organization
from ostiary.organizations import (
    Organization,
    OrganizationGone,
    Removal,
    all_organizations,
    by_id,
    check_is_there,
    count,
    current_epoch,
    find,
    forget_logs_of_removed,
    is_taken,
    narrow,
    page,
    put,
    remove,
)
from ostiary.organizations.removing import AT_ONCE, KEPT, SETTLED_AFTER, owned_tables

SHOP, ACME = Organization("shop-id", "shop", "Shop"), Organization("acme-id", "acme", "Acme")
assert ostiary.app.wiring
OF_THE_PLATFORM = {
    "gateway_authority",
    "gateway_counts",
    "gateway_node_keys",
    "gateway_nodes",
    "gateway_usage_reports",
    "organizations",
}
"""Tables of no organization's rows."""
OWNED = [table for table in metadata.sorted_tables if "organization_id" in table.c]
MORE_THAN_ONE_PART = AT_ONCE + 7


def _value(column: Any) -> Any:
    kind = column.type
    if isinstance(kind, Instant):
        return datetime.now(UTC)
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, String):
        return uuid4().hex[: kind.length or 32]
    return {} if kind.python_type is dict else uuid4().int % 2**31


def _rows(connection: Connection, table: Table, organization_id: str, how_many: int) -> list[dict[str, Any]]:
    """Rows of any table: made-up values, and references to what is there already."""
    parents = {key.parent.name: key.column for key in table.foreign_keys}
    referred: dict[str, Sequence[Any]] = {
        name: connection.execute(
            select(column).where(column.table.c.get("organization_id", column) == organization_id)
        )
        .scalars()
        .all()
        for name, column in parents.items()
    }
    wanted = [c for c in table.c if c.name != "organization_id" and not (c.nullable and not c.foreign_keys)]
    return [
        {"organization_id": organization_id}
        | {c.name: referred[c.name][n] if c.name in referred else _value(c) for c in wanted}
        for n in range(how_many)
    ]


def fill(connection: Connection, organization: Organization, how_many: int) -> None:
    """Rows in every table there is."""
    for table in OWNED:
        at_most = 1 if list(table.primary_key) == [table.c.organization_id] else how_many
        connection.execute(insert(table), _rows(connection, table, organization.id, at_most))


def counts(connection: Connection, organization_id: str) -> dict[str, int]:
    return {
        table.name: connection.execute(
            select(func.count()).select_from(table).where(table.c.organization_id == organization_id)
        ).scalar_one()
        for table in OWNED
        if table.name not in KEPT
    }


@pytest.fixture
async def clock(database: Database) -> AdvancingClock:
    """Both organizations are there, with rows in every table."""

    def unit(connection: Connection) -> None:
        for organization, how_many in ((SHOP, MORE_THAN_ONE_PART), (ACME, 3)):
            put(connection, organization)
            fill(connection, organization, how_many)

    await database.write(unit)
    return AdvancingClock()


def a_removal(database: Database, clock: AdvancingClock) -> Removal:
    return Removal(database, ROWS_IN_THE_PLAN, lambda _: None, clock)


async def removed(database: Database, clock: AdvancingClock) -> None:
    assert await database.write(lambda c: remove(c, SHOP.id, clock())) == SHOP
    clock.advance(SETTLED_AFTER)


async def test_nothing_is_left_in_any_table_and_others_keep_everything(
    database: Database, clock: AdvancingClock
) -> None:
    before = await database.read(lambda c: counts(c, ACME.id))
    assert min(before.values()) > 0
    await removed(database, clock)

    await a_removal(database, clock).run()

    assert set((await database.read(lambda c: counts(c, SHOP.id))).values()) == {0}
    assert await database.read(lambda c: counts(c, ACME.id)) == before
    assert not await database.read(lambda c: is_taken(c, "shop"))


def test_what_is_kept_is_named_and_every_other_table_is_emptied() -> None:
    """A new table has an `organization_id`, or somebody says here why it has none."""
    names = set(metadata.tables) - OF_THE_PLATFORM

    assert set(KEPT) <= names
    assert {table.name for table in owned_tables()} == names - set(KEPT)


async def test_it_is_nobodys_to_see_from_the_first_moment_and_its_name_is_taken_until_the_last(
    database: Database, clock: AdvancingClock
) -> None:
    await database.write(lambda c: remove(c, SHOP.id, clock()))
    await a_removal(database, clock).run()

    def seen(connection: Connection) -> tuple[Any, ...]:
        found = (find(connection, "shop"), by_id(connection, SHOP.id), count(connection))
        return (*found, all_organizations(connection), page(connection, 0, 10))

    assert await database.read(seen) == (None, None, 1, [ACME], [ACME])
    assert await database.read(lambda c: is_taken(c, "shop"))
    assert not await database.write(lambda c: add_organization(c, Organization("new", "shop", "New")))
    assert (await database.read(lambda c: counts(c, SHOP.id)))["clients"] == MORE_THAN_ONE_PART


@pytest.mark.parametrize("use", [current_epoch, check_is_there, lambda c, id: narrow(c, id, "client", "x")])
async def test_whoever_is_writing_in_it_writes_nothing(
    database: Database, clock: AdvancingClock, use: Any
) -> None:
    await removed(database, clock)

    with pytest.raises(OrganizationGone):
        await database.write(lambda c: use(c, SHOP.id))
    await a_removal(database, clock).run()
    with pytest.raises(OrganizationGone):
        await database.write(lambda c: use(c, SHOP.id))


async def test_it_is_removed_once(database: Database, clock: AdvancingClock) -> None:
    await removed(database, clock)

    assert await database.write(lambda c: remove(c, SHOP.id, clock())) is None
    assert await database.write(lambda c: remove(c, "no-such-id", clock())) is None


class _Killed(BaseException):
    """As when the process ends."""


class _Dying(Database):
    """Commits so many transactions, and ends in the middle of the next."""

    lives = 0

    async def write(self, unit: Any) -> Any:
        self.lives -= 1
        if self.lives < 0:
            raise _Killed
        return await super().write(unit)


@pytest.mark.parametrize("transactions", [0, 1, 9, 23])
async def test_it_goes_on_where_it_was_killed(
    database: Database, clock: AdvancingClock, transactions: int
) -> None:
    await removed(database, clock)
    dying = _Dying.open(database.url)
    dying.lives = transactions
    with contextlib.suppress(_Killed):
        await a_removal(dying, clock).run()
    await dying.close()
    assert await database.read(lambda c: is_taken(c, "shop"))
    assert await database.read(lambda c: find(c, "shop")) is None

    await a_removal(database, clock).run()

    assert set((await database.read(lambda c: counts(c, SHOP.id))).values()) == {0}
    assert not await database.read(lambda c: is_taken(c, "shop"))


async def test_two_workers_do_it_together(database: Database, clock: AdvancingClock) -> None:
    await removed(database, clock)

    await asyncio.gather(a_removal(database, clock).run(), a_removal(database, clock).run())

    assert set((await database.read(lambda c: counts(c, SHOP.id))).values()) == {0}


async def test_no_transaction_takes_more_than_a_part(database: Database, clock: AdvancingClock) -> None:
    await removed(database, clock)
    largest = 0

    class Watching(Database):
        async def write(self, unit: Any) -> Any:
            nonlocal largest

            def counted(connection: Connection) -> Any:
                before = sum(counts(connection, SHOP.id).values())
                result = unit(connection)
                return result, before - sum(counts(connection, SHOP.id).values())

            result, gone = await super().write(counted)
            largest = max(largest, gone)
            return result

    watching = Watching.open(database.url)
    await a_removal(watching, clock).run()
    await watching.close()

    assert largest == AT_ONCE


async def test_gateway_nodes_are_told_of_every_row_they_know(
    database: Database, clock: AdvancingClock
) -> None:
    await removed(database, clock)
    rows = await database.read(lambda c: counts(c, SHOP.id))

    await a_removal(database, clock).run()

    def told(connection: Connection) -> dict[str, int]:
        topics = select(outbox.c.topic, func.count(outbox.c.key.distinct())).group_by(outbox.c.topic)
        here = outbox.c.organization_id == SHOP.id
        return dict(connection.execute(topics.where(here)).all())

    said = await database.read(told)
    assert {table: said[str(topic)] for table, (topic, _) in ROWS_IN_THE_PLAN.items()} == {
        table: rows[table] for table in ROWS_IN_THE_PLAN
    }
    assert said["organization"] == 1


def test_whatever_gateway_nodes_know_of_an_organization_has_rows_here():
    """Of the others there is no row that goes, or nothing is held."""
    elsewhere = {Kind.ORGANIZATION, Kind.NODE, Kind.CLAIMS}

    assert {topic for topic, _ in ROWS_IN_THE_PLAN.values()} == set(Kind) - elsewhere


async def test_an_organization_of_the_same_name_is_another_one(
    database: Database, clock: AdvancingClock
) -> None:
    await removed(database, clock)
    await a_removal(database, clock).run()

    await database.write(lambda c: put(c, Organization("another-id", "shop", "Shop again")))
    clock.advance(timedelta(days=1))
    await a_removal(database, clock).run()

    found = await database.read(lambda c: find(c, "shop"))
    assert found is not None
    assert found.id == "another-id"


async def test_a_worker_lets_go_of_what_it_holds_at_once(database: Database, clock: AdvancingClock) -> None:
    await database.write(lambda c: remove(c, SHOP.id, clock()))
    forgotten: list[str] = []

    await Removal(database, ROWS_IN_THE_PLAN, forgotten.append, clock).run()

    assert forgotten == [SHOP.id]


def test_people_of_an_organization_made_meanwhile_are_not_forgotten(postgresql_url: str) -> None:
    """Each statement of PostgreSQL sees what is committed by then: who is there must be asked last."""
    create_tables(postgresql_url)
    engine, another = write_engine(postgresql_url), write_engine(postgresql_url)
    made: list[None] = []

    def make_one(*_of_a_statement: Any) -> None:
        if not made:  # after the first statement, by another worker
            made.append(None)
            with another.begin() as other:
                put(other, SHOP)
                for table in (audit_person_keys, audit_signing_keys):
                    other.execute(insert(table), _rows(other, table, SHOP.id, 1))

    with engine.connect() as connection:
        event.listen(connection, "after_cursor_execute", make_one)
        forget_logs_of_removed(connection)
        connection.commit()

    with engine.begin() as connection:
        assert len(connection.execute(select(audit_person_keys)).all()) == 1
    for one in (engine, another):
        one.dispose()
