"""What ends each write of a request, besides noting who did it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select
from starlette.types import Receive, Scope, Send
from tests.support.identity import BOX

from ostiary.app.auditing import Audited, AuditKeeping
from ostiary.foundation.audit import ANCHOR_FILE, AuditSettings, Refusals
from ostiary.foundation.audit.checkpoints import signing_key
from ostiary.foundation.audit.tables import audit_person_keys
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database
from ostiary.identity.tables import users
from ostiary.organizations import Organization, OrganizationGone, put, remove

SHOP = Organization("shop-id", "shop", "Shop")
ADMITTED = {"organization": SHOP}


async def nobody_receives() -> Any:
    raise AssertionError


async def nobody_sends(_message: Any) -> None:
    raise AssertionError


@pytest.mark.parametrize("is_there", [True, False])
async def test_nothing_is_written_of_an_organization_that_was_removed_after_the_guard_admitted(
    sqlite_database: Database, is_there: bool
) -> None:
    database, now = sqlite_database, utc_now()
    row = {"id": "u", "organization_id": SHOP.id, "username": "bob", "password_hash": "", "claims": {}}

    async def a_use_case(_scope: Scope, _receive: Receive, _send: Send) -> None:
        def unit(connection: Connection) -> None:
            connection.execute(insert(users), row | {"created_at": now, "updated_at": now})

        await database.write(unit)

    async def find_organization(_name: str) -> Organization | None:
        return None

    refusals = Refusals(database, BOX, lambda *_: None, utc_now)
    audited = Audited(a_use_case, database, refusals, find_organization)
    await database.write(lambda c: put(c, SHOP))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": dict(ADMITTED)}
    if is_there:
        await audited(scope, nobody_receives, nobody_sends)
    else:
        await database.write(lambda c: remove(c, SHOP.id, now))
        with pytest.raises(OrganizationGone):
            await audited(scope, nobody_receives, nobody_sends)

    written = await database.read(lambda c: c.execute(select(users.c.username)).scalars().all())
    assert written == (["bob"] if is_there else [])


async def test_anchors_that_cannot_be_noted_keep_nothing_else_of_the_log_from_being_done(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """A full disk must not keep people of a removed organization from being forgotten."""
    database, keys = sqlite_database, audit_person_keys
    await database.write(lambda c: signing_key(c, BOX, "gone"))
    row = dict.fromkeys((column.name for column in keys.c), "x") | {"organization_id": "gone"}
    await database.write(lambda c: c.execute(insert(keys), row))
    (tmp_path / ANCHOR_FILE).mkdir()
    refusals = Refusals(database, BOX, lambda *_: None, utc_now)
    keeping = AuditKeeping(database, BOX, refusals, tmp_path, AuditSettings(), utc_now)

    with pytest.raises(OSError):
        await keeping.tend()

    assert await database.read(lambda c: c.execute(select(keys)).all()) == []
