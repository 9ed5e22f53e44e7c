"""Assertions that have been used, in SQL: each may be used once (RFC 7522 §3, 6)."""

import hashlib
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from ostiary.identity.repository import run, upserts
from ostiary.identity.tables import redeemed_assertions

_ADD = upserts(redeemed_assertions, lambda insert: insert.on_conflict_do_nothing())
_KEY = (redeemed_assertions.c.organization_id, redeemed_assertions.c.assertion)
_ENDED = delete(redeemed_assertions).where(
    tuple_(*_KEY).in_(
        select(*_KEY)
        .where(redeemed_assertions.c.ends_at < bindparam("ended_before"))
        .limit(bindparam("at_most"))
    )
)


def add(
    connection: Connection, organization_id: str, issuer: str, assertion_id: str, ends_at: datetime
) -> bool:
    """Note that an assertion is used, whose ID its issuer gives to no other (SAML Core §1.3.4).

    False where it was already. Of several at once one gets True.
    """
    digest = hashlib.sha256(f"{issuer}\0{assertion_id}".encode()).hexdigest()
    row = {"organization_id": organization_id, "assertion": digest, "ends_at": ends_at}
    return run(connection, _ADD, row).rowcount == 1


def remove_ended(connection: Connection, before: datetime, at_most: int) -> int:
    """Forget assertions that were over before then; how many."""
    return connection.execute(_ENDED, {"ended_before": before, "at_most": at_most}).rowcount
