"""What somebody holds is found by index, however many others hold something."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.organizations import Organization, put
from ostiary.permissions import Member, MemberName, Role, put_role, read_holdings, role_page, roles_listing
from ostiary.permissions.tables import role_members

STEPS = 2_000
"""Of SQLite's machine; each of the 5,000 members below would take at least one."""
HERE = Organization("1", "acme", "Acme")
BOB = Member(new_id(), "PRIMARY", "bob")
QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "what a user holds": lambda c: read_holdings(c, HERE.id, BOB).to_pin,
    "what a client holds": lambda c: read_holdings(c, HERE.id, Member(client_id="bob")).roles,
    "what a group holds": lambda c: read_holdings(c, HERE.id, Member(groups=frozenset({"CORP/bob"}))).roles,
    "the roles of a page of users": lambda c: roles_listing(c, HERE.id, [BOB]),
    "a page of the roles of a user": lambda c: role_page(
        c, HERE.id, {}, BOB, descending=False, offset=0, limit=10
    ),
}


def seed(connection: Connection) -> None:
    """A role with bob, and one with very many others of each kind, pinned and not."""
    put(connection, HERE)
    kinds = (("user", "PRIMARY"), ("client", ""), ("group", "CORP"))
    own = frozenset(MemberName(kind, store, "bob") for kind, store in kinds)  # type: ignore[arg-type]
    put_role(connection, Role(new_id(), HERE.id, "clerk", ("/permission/admin",), own))
    crowd = Role(new_id(), HERE.id, "crowd")
    put_role(connection, crowd)
    rows = [
        {
            "id": new_id(),
            "organization_id": HERE.id,
            "role_id": crowd.id,
            "kind": kind,
            "store": store,
            "name": f"other{number}",
            "subject_id": new_id() if kind == "user" and number % 2 else None,
        }
        for kind, store in kinds
        for number in range(5_000)
    ]
    connection.execute(insert(role_members), rows)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_look_up_reads_no_other_member(sqlite_database: Database, question: str):
    await sqlite_database.write(seed)

    def ask(connection: Connection) -> tuple[object, int]:
        driver: Any = connection.connection.driver_connection
        asked = 0

        def count() -> None:
            nonlocal asked
            asked += 1

        driver.set_progress_handler(count, 10)
        try:
            return QUESTIONS[question](connection), 10 * asked
        finally:
            driver.set_progress_handler(None, 0)

    found, steps = await sqlite_database.read(ask)

    assert found
    assert steps < STEPS
