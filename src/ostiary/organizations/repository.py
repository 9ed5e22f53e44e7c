"""Organizations and their epochs in SQL.

An organization has one counter, its epoch. A change that takes something away raises the counter
and notes the new value as the minimum of what was narrowed: a client, a subject, a scope, an
application or the organization. A token carries the counter at its issue and is refused when that
is below any minimum that concerns it. Counters are compared, never times (ADR 0004).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.memory import remembered
from ostiary.organizations.model import ChainPolicy, Organization, OrganizationGone, is_name
from ostiary.organizations.tables import epoch_minimums, organizations

EpochKind = Literal["client", "subject", "scope", "application", "organization"]

# Asked for every token: composing a statement costs more than SQLite takes to answer it.
_IS_THERE = organizations.c.removed_at.is_(None)
_BY_NAME = select(organizations).where(organizations.c.name == bindparam("name"), _IS_THERE)
_BY_ID = select(organizations).where(organizations.c.id == bindparam("id"), _IS_THERE)
_BY_ORDER = select(organizations).where(_IS_THERE).order_by(organizations.c.name)
_EPOCH = select(organizations.c.epoch).where(organizations.c.id == bindparam("id"), _IS_THERE)
_RAISE = (
    update(organizations)
    .where(organizations.c.id == bindparam("key_id"), _IS_THERE)
    .values(epoch=organizations.c.epoch + 1)
    .returning(organizations.c.epoch)
)
_RAISE_TO = {  # one statement: a minimum that was raised beyond meanwhile stays
    dialect: statement.on_conflict_do_update(
        index_elements=["organization_id", "kind", "key"],
        set_={"minimum": statement.excluded.minimum},
        where=epoch_minimums.c.minimum < statement.excluded.minimum,
    )
    for dialect, statement in (
        ("postgresql", postgresql_insert(epoch_minimums)),
        ("sqlite", sqlite_insert(epoch_minimums)),
    )
}
_ADD = {
    dialect: statement.on_conflict_do_nothing(index_elements=["name"]).returning(organizations.c.id)
    for dialect, statement in (
        ("postgresql", postgresql_insert(organizations)),
        ("sqlite", sqlite_insert(organizations)),
    )
}
_MINIMUMS_OF = select(epoch_minimums.c.kind, epoch_minimums.c.key, epoch_minimums.c.minimum).where(
    epoch_minimums.c.organization_id == bindparam("organization_id"),
    epoch_minimums.c.kind.in_(bindparam("kinds", expanding=True)),  # a lookup in the key, not a walk
    epoch_minimums.c.key.in_(bindparam("keys", expanding=True)),
)
_MARK = select(organizations.c.epoch, organizations.c.epoch_mark, organizations.c.epoch_marked_at).where(
    organizations.c.id == bindparam("id"), _IS_THERE
)
_FOLDABLE = (
    epoch_minimums.c.organization_id == bindparam("organization_id"),
    epoch_minimums.c.kind != "organization",
    epoch_minimums.c.minimum <= bindparam("mark"),
)
_FOLD = (
    delete(epoch_minimums)
    .where(
        *_FOLDABLE,
        tuple_(epoch_minimums.c.kind, epoch_minimums.c.key).in_(
            select(epoch_minimums.c.kind, epoch_minimums.c.key).where(*_FOLDABLE).limit(bindparam("at_most"))
        ),
    )
    .returning(epoch_minimums.c.kind, epoch_minimums.c.key, epoch_minimums.c.minimum)
)


def find(connection: Connection, name: str) -> Organization | None:
    """The organization of that name; any text may be asked about, since URLs and user names carry it."""
    if not is_name(name):
        return None
    row = connection.execute(_BY_NAME, {"name": name}).first()
    return None if row is None else _model(row)


def by_id(connection: Connection, organization_id: str) -> Organization | None:
    """The organization of that identifier."""

    def read(connection: Connection) -> Organization | None:
        row = connection.execute(_BY_ID, {"id": organization_id}).first()
        return None if row is None else _model(row)

    return remembered(connection, ("organization by id", organization_id), read)


def all_organizations(connection: Connection) -> list[Organization]:
    """Every organization, by name."""
    return [_model(row) for row in connection.execute(_BY_ORDER)]


def following(connection: Connection, organization_id: str) -> Organization | None:
    """The next organization by identifier; None after the last."""
    later = select(organizations).where(organizations.c.id > organization_id, _IS_THERE)
    row = connection.execute(later.order_by(organizations.c.id).limit(1)).first()
    return None if row is None else _model(row)


def page(connection: Connection, offset: int, limit: int) -> list[Organization]:
    """At most `limit` organizations by name, after the first `offset` of them."""
    return [_model(row) for row in connection.execute(_BY_ORDER.offset(offset).limit(limit))]


def count(connection: Connection) -> int:
    """How many organizations there are."""
    return int(
        connection.execute(select(func.count()).select_from(organizations).where(_IS_THERE)).scalar_one()
    )


def is_taken(connection: Connection, name: str) -> bool:
    """Whether the name is an organization's, or still one's that is being removed."""
    taken = select(organizations.c.id).where(organizations.c.name == name)
    return is_name(name) and connection.execute(taken).first() is not None


def check_is_there(connection: Connection, organization_id: str) -> None:
    """End a transaction that has written something of an organization.

    Raises:
        OrganizationGone: it was removed meanwhile.
    """
    current_epoch(connection, organization_id)


def add(connection: Connection, organization: Organization) -> bool:
    """Create the organization; False where there is one of that name already, which stays as it is."""
    row = _first_row(organization)
    if connection.execute(_ADD[connection.dialect.name], row).first() is None:
        return False
    _say(connection, None, organization)
    return True


def put(connection: Connection, organization: Organization) -> None:
    """Create the organization or change what it says of itself; its name never changes."""
    here = organizations.c.id == organization.id
    found = by_id(connection, organization.id)
    changed = connection.execute(
        update(organizations).where(here).values(**_said(organization), version=organizations.c.version + 1)
    )
    if changed.rowcount == 0:
        connection.execute(insert(organizations).values(_first_row(organization)))
    _say(connection, found, organization)


def current_epoch(connection: Connection, organization_id: str) -> int:
    """The organization's counter; read it before the entitlements that go into a token.

    Raises:
        OrganizationGone: it was removed meanwhile.
    """
    epoch = connection.execute(_EPOCH, {"id": organization_id}).scalar()
    if epoch is None:
        raise OrganizationGone(organization_id)
    return int(epoch)


def narrow(connection: Connection, organization_id: str, kind: EpochKind, key: str) -> int:
    """Refuse the tokens already issued that concern `key`; returns the new minimum.

    Raises:
        OrganizationGone: it was removed meanwhile.
    """
    minimum = connection.execute(_RAISE, {"key_id": organization_id}).scalar()
    if minimum is None:
        raise OrganizationGone(organization_id)
    row = {"organization_id": organization_id, "kind": kind, "key": key, "minimum": minimum}
    connection.execute(_RAISE_TO[connection.dialect.name], row)
    record(connection, Event("epoch", organization_id, f"{kind}:{key}"))
    return int(minimum)


def fold_minimums(
    connection: Connection, organization_id: str, now: datetime, longest: timedelta, at_most: int = 1_000
) -> int:
    """Let one minimum of the whole organization stand for old ones; returns for how many of them.

    An epoch is marked, and once the mark is older than `longest`, the longest that a token lives, no token of
    before is good any more. So the organization's minimum may be as high as any that was noted by then: it
    refuses whatever those refuse, also where a clock was wrong, and they go (ADR 0026). Again until it is 0.
    """
    at = connection.execute(_MARK, {"id": organization_id}).first()
    if at is None:  # removed meanwhile
        return 0
    if at.epoch_marked_at is not None and now - longest < at.epoch_marked_at <= now:
        return 0
    mark = -1 if at.epoch_mark is None or at.epoch_marked_at > now else at.epoch_mark
    these = {"organization_id": organization_id, "mark": mark, "at_most": at_most}
    folded = connection.execute(_FOLD, these).all()
    if folded:
        here = {"organization_id": organization_id, "kind": "organization", "key": organization_id}
        highest = max(one.minimum for one in folded)
        connection.execute(_RAISE_TO[connection.dialect.name], here | {"minimum": highest})
        gone = (Event("epoch", organization_id, f"{kind}:{key}") for kind, key, _ in folded)
        record(connection, Event("epoch", organization_id, f"organization:{organization_id}"), *gone)
    else:
        marked = {"epoch_mark": at.epoch, "epoch_marked_at": now}
        connection.execute(update(organizations).where(organizations.c.id == organization_id).values(marked))
    return len(folded)


def minimums(connection: Connection, organization_id: str) -> dict[tuple[str, str], int]:
    """Every minimum of the organization, by kind and key."""
    columns = (epoch_minimums.c.kind, epoch_minimums.c.key, epoch_minimums.c.minimum)
    rows = connection.execute(select(*columns).where(epoch_minimums.c.organization_id == organization_id))
    return {(kind, key): minimum for kind, key, minimum in rows}


def minimums_after(
    connection: Connection, organization_id: str, after: tuple[str, str], at_most: int
) -> list[tuple[str, str, int]]:
    """The next minimums by kind and key: kind, key, minimum."""
    columns = (epoch_minimums.c.kind, epoch_minimums.c.key)
    query = (
        select(*columns, epoch_minimums.c.minimum)
        .where(epoch_minimums.c.organization_id == organization_id, tuple_(*columns) > after)
        .order_by(*columns)
        .limit(at_most)
    )
    return [(kind, key, minimum) for kind, key, minimum in connection.execute(query)]


def latest_minimum(
    connection: Connection, organization_id: str, concerned: Iterable[tuple[EpochKind, str]]
) -> int:
    """The highest minimum of what a token concerns; 0 where nothing was ever narrowed."""
    pairs = frozenset(concerned)

    def read(connection: Connection) -> int:
        kinds, keys = {kind for kind, _ in pairs}, {key for _, key in pairs}
        these = {"organization_id": organization_id, "kinds": list(kinds), "keys": list(keys)}
        rows = connection.execute(_MINIMUMS_OF, these)
        return max((minimum for kind, key, minimum in rows if (kind, key) in pairs), default=0)

    return remembered(connection, ("minimum", organization_id, pairs), read)


def _said(organization: Organization) -> dict[str, object]:
    return {
        "display_name": organization.display_name,
        "features": sorted(organization.features),
        "chain": organization.chain.value,
    }


def _first_row(organization: Organization) -> dict[str, object]:
    named = {"id": organization.id, "name": organization.name, "epoch": 1, "version": 1}
    return named | _said(organization)


def _say(connection: Connection, before: Organization | None, after: Organization) -> None:
    record(connection, Event("organization", after.id, after.id))
    if before != after:
        audit.note(connection, after.id, "organization", after.name, before, after)


def _model(row: Row[tuple[object, ...]]) -> Organization:
    return Organization(row.id, row.name, row.display_name, frozenset(row.features), ChainPolicy(row.chain))
