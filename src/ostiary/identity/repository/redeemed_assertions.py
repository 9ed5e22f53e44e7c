"""Assertions that have been used, in SQL: each may be used once (RFC 7522 §3, 6)."""

import hashlib
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from ostiary.identity.repository import run, upserts
from ostiary.identity.tables import redeemed_assertions

_ADD = upserts(redeemed_assertions, lambda insert: insert.on_conflict_do_nothing())
_KEY = (
    redeemed_assertions.c.organization_id,
    redeemed_assertions.c.store_id,
    redeemed_assertions.c.assertion,
)
_ENDED = delete(redeemed_assertions).where(
    tuple_(*_KEY).in_(
        select(*_KEY)
        .where(redeemed_assertions.c.ends_at < bindparam("ended_before"))
        .limit(bindparam("at_most"))
    )
)


def add(
    connection: Connection, organization_id: str, store_id: str, assertion_id: str, ends_at: datetime
) -> bool:
    """Note that a provider's assertion is used; False where it was already. One of several gets True."""
    row = {
        "organization_id": organization_id,
        "store_id": store_id,
        "assertion": hashlib.sha256(assertion_id.encode()).hexdigest(),
        "ends_at": ends_at,
    }
    return run(connection, _ADD, row).rowcount == 1


def remove_ended(connection: Connection, before: datetime, at_most: int) -> int:
    """Forget assertions that were over before then; how many."""
    return connection.execute(_ENDED, {"ended_before": before, "at_most": at_most}).rowcount
