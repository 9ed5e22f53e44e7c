"""One suite for both databases: units of work, durability of the answer, changes seen elsewhere."""

import asyncio
import threading
import time
from collections import Counter
from functools import partial

import pytest
from sqlalchemy import Connection, text
from sqlalchemy import event as sql_event
from sqlalchemy.exc import DBAPIError

from ostiary.foundation.database import Database
from ostiary.foundation.events import (
    Event,
    TooOld,
    events_after,
    has_unnumbered,
    latest_number,
    number_events,
    record,
)
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.memory import remembered
from ostiary.organizations import Organization, all_organizations, current_epoch, latest_minimum, narrow, put
from ostiary.permissions import Member, Role, a_client, a_group, a_user, find_role, holdings_of, put_role


def an_organization(name: str = "acme") -> Organization:
    return Organization(new_id(), name, name.title())


async def test_what_is_written_is_read(database: Database) -> None:
    organization = an_organization()

    await database.write(lambda connection: put(connection, organization))

    assert await database.read(all_organizations) == [organization]


async def test_a_unit_that_raises_changes_nothing_and_harms_no_other(database: Database) -> None:
    def broken(connection: Connection) -> None:
        put(connection, an_organization("broken"))
        raise LookupError("stop")

    organizations = [an_organization(f"org-{n}") for n in range(20)]
    good = [database.write(lambda c, o=o: put(c, o)) for o in organizations]
    bad = [database.write(broken) for _ in range(20)]
    results = await asyncio.gather(
        *(unit for pair in zip(good, bad, strict=True) for unit in pair), return_exceptions=True
    )

    assert sum(isinstance(result, LookupError) for result in results) == 20
    assert {o.name for o in await database.read(all_organizations)} == {o.name for o in organizations}


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"):
        await database.read(lambda connection: put(connection, an_organization()))


async def test_what_is_recalled_is_never_older_than_a_commit_of_anybody(
    database: Database, database_url: str
) -> None:
    """Of this process or of another one, in the same moment: nobody waits for a signal."""
    other = Database.open(database_url)
    names = ["first", "second", "third", "fourth"]
    seen = []
    for number, name in enumerate(names):
        writer = (database, other)[number % 2]
        await writer.write(lambda connection, name=name: put(connection, an_organization(name)))  # type: ignore[misc]
        seen.append({one.name for one in await database.recall("all of them", all_organizations)})
    await other.close()

    assert seen == [set(names[: number + 1]) for number in range(4)]


async def test_a_question_is_read_once_until_somebody_commits_or_the_answer_does_not_fit(
    database: Database,
) -> None:
    reads = 0

    def counting(connection: Connection) -> list[Organization]:
        nonlocal reads
        reads += 1
        return all_organizations(connection)

    for _ in range(3):
        await database.recall("all of them", counting)
    once = reads
    await database.recall("all of them", counting, fits=lambda _: False)
    again = reads - once
    await database.recall("another question", counting)

    assert (once, again, reads) == ((1, 1, 3) if database.is_sqlite else (3, 1, 5))


async def test_a_part_of_a_glance_is_read_once_until_somebody_commits_and_by_others_each_time(
    database: Database, database_url: str
) -> None:
    other = Database.open(database_url)
    reads: list[str] = []

    def named(who: str, connection: Connection) -> list[str]:
        def read(connection: Connection) -> list[str]:
            reads.append(who)
            return [one.name for one in all_organizations(connection)]

        return remembered(connection, "names", read)

    seen = []
    for number, name in enumerate(("first", "second", "third", "fourth")):
        writer = (database, other)[number % 2]
        await writer.write(lambda connection, name=name: put(connection, an_organization(name)))  # type: ignore[misc]
        for _ in range(2):
            seen.append(len(await database.glance(partial(named, "glance"))))
    for _ in range(2):
        await database.read(partial(named, "read"))
        await database.write(partial(named, "write"))
        await database.write(partial(named, "brief"), brief=True)
    await other.close()

    assert seen == [1, 1, 2, 2, 3, 3, 4, 4]
    assert Counter(reads) == {"glance": 4 if database.is_sqlite else 8, "read": 2, "write": 2, "brief": 2}


async def test_a_glance_at_a_file_needs_no_thread(database: Database) -> None:
    """Where the database is on another machine, the event loop goes on meanwhile."""
    threads: list[threading.Thread] = []

    def noting(_connection: Connection) -> None:
        threads.append(threading.current_thread())

    await database.glance(noting)
    await database.recall("who reads", noting)
    await database.read(noting)

    here = threading.current_thread()
    assert [thread is here for thread in threads] == [database.is_sqlite, database.is_sqlite, False]


async def test_what_is_brief_is_written_as_everything_else_and_raises_alone(database: Database) -> None:
    """On SQLite it runs on the event loop, in the transactions of the others."""
    threads: set[threading.Thread] = set()

    def writing(number: int, connection: Connection) -> None:
        put(connection, an_organization(f"shop-{number}"))
        if number % 3 == 0:
            threads.add(threading.current_thread())
        if number % 5 == 0:
            raise LookupError

    units = (database.write(partial(writing, number), brief=number % 3 == 0) for number in range(60))
    results = await asyncio.gather(*units, return_exceptions=True)

    raised = {number: type(result) for number, result in enumerate(results) if result is not None}
    assert raised == dict.fromkeys(range(0, 60, 5), LookupError)
    written = {one.name for one in await database.read(all_organizations)}
    assert written == {f"shop-{number}" for number in range(60) if number % 5}
    assert (threads == {threading.current_thread()}) is database.is_sqlite


async def test_another_process_sees_a_change_within_200_ms(database: Database, database_url: str) -> None:
    """The best of a few tries: what a busy machine adds says nothing about us."""
    other = Database.open(database_url)
    woken = asyncio.Event()
    other.changes.subscribe(woken.set)
    await other.changes.wait(0.3)
    waits = []
    for number in range(5):
        woken.clear()
        started = time.monotonic()
        await database.write(lambda connection, n=number: put(connection, an_organization(f"acme-{n}")))
        await asyncio.wait_for(woken.wait(), timeout=10)
        waits.append(time.monotonic() - started)

    assert min(waits) < 0.2
    assert len(await other.read(all_organizations)) == 5
    await other.close()


async def test_events_are_numbered_after_their_commit_and_read_in_order(database: Database) -> None:
    events = [Event("api", "organization", str(n)) for n in range(5)]
    for event in events:
        await database.write(lambda connection, e=event: record(connection, e))
    assert await database.read(has_unnumbered)

    numbered = await asyncio.gather(*(database.write(number_events) for _ in range(4)))

    assert sum(numbered) == 5
    assert await database.read(latest_number) == 5
    assert await database.read(lambda connection: events_after(connection, 2, 10)) == events[2:]
    assert await database.read(lambda connection: events_after(connection, 2, 1)) == events[2:3]


async def test_a_number_from_the_future_is_too_old(database: Database) -> None:
    with pytest.raises(TooOld):
        await database.read(lambda connection: events_after(connection, 7, 10))


async def test_narrowing_raises_the_minimum_above_every_token_issued_before(database: Database) -> None:
    organization = an_organization()
    await database.write(lambda connection: put(connection, organization))
    before = await database.read(lambda connection: current_epoch(connection, organization.id))

    minimum = await database.write(lambda connection: narrow(connection, organization.id, "client", "mobile"))

    assert minimum > before
    concerned = [("client", "mobile"), ("subject", "somebody")]
    assert await database.read(lambda c: latest_minimum(c, organization.id, concerned)) == minimum
    assert await database.read(lambda c: latest_minimum(c, organization.id, [("client", "other")])) == 0


async def test_a_role_is_pinned_to_the_first_subject_its_name_matches(database: Database) -> None:
    organization = an_organization()
    members = frozenset({a_user("EXTERNAL/testuser"), a_client("job"), a_group("CORP/sales")})
    role = Role(new_id(), organization.id, "clerk", members=members)
    await database.write(lambda connection: (put(connection, organization), put_role(connection, role)))
    first = Member("subject-1", "EXTERNAL", "testuser")
    second = Member("subject-2", "EXTERNAL", "testuser")

    assert await database.write(lambda c: holdings_of(c, organization.id, first).roles) == {"clerk"}
    assert await database.write(lambda c: holdings_of(c, organization.id, second).roles) == frozenset()
    assert await database.write(lambda c: holdings_of(c, organization.id, Member(client_id="job")).roles) == {
        "clerk"
    }
    grouped = Member("subject-3", "CORP", "x", frozenset({"CORP/sales", "CORP/other"}))
    assert await database.write(lambda c: holdings_of(c, organization.id, grouped).roles) == {"clerk"}
    assert await database.write(lambda c: holdings_of(c, "another", first).roles) == frozenset()


async def test_an_organization_of_many_roles_makes_no_role_slow_to_find(database: Database) -> None:
    """An organization file asks for each of its roles inside the one write transaction: reading all of them
    each time let 20,000 roles stop the logins of every organization for many minutes."""
    organization = an_organization()
    wanted = Role(new_id(), organization.id, "role-7", members=frozenset({a_user("bob"), a_client("job")}))
    others = [Role(new_id(), organization.id, f"other-{n}", members=wanted.members) for n in range(20)]

    def found(connection: Connection) -> tuple[Role | None, list[str]]:
        asked: list[str] = []
        sql_event.listen(connection, "after_cursor_execute", lambda *call: asked.append(str(call[3])))
        return find_role(connection, organization.id, "role-7"), asked

    await database.write(lambda c: (put(c, organization), [put_role(c, role) for role in [wanted, *others]]))

    role, asked = await database.read(found)
    assert role == wanted
    assert asked
    assert all("role-7" in parameters or wanted.id in parameters for parameters in asked)


async def test_losing_a_role_narrows_the_subject(database: Database) -> None:
    organization = an_organization()
    role = Role(new_id(), organization.id, "clerk", members=frozenset({a_user("testuser")}))
    await database.write(lambda connection: (put(connection, organization), put_role(connection, role)))
    await database.write(
        lambda c: holdings_of(c, organization.id, Member("subject-1", "PRIMARY", "testuser")).roles
    )

    await database.write(lambda c: put_role(c, Role(role.id, organization.id, "clerk")))

    assert await database.read(lambda c: latest_minimum(c, organization.id, [("subject", "subject-1")])) > 0
    assert (
        await database.read(lambda c: c.execute(text("SELECT count(*) FROM role_members")).scalar_one()) == 0
    )
