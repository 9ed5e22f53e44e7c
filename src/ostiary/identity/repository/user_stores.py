"""User stores in SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, func, select, update

from ostiary.identity.model import StoreOptions, UserStoreSettings
from ostiary.identity.repository import run, upserts
from ostiary.identity.tables import user_stores

_CHAIN = (
    select(user_stores)
    .where(user_stores.c.organization_id == bindparam("key_organization_id"))
    .order_by(user_stores.c.position, user_stores.c.name)
)
_ADD = upserts(
    user_stores, lambda insert: insert.on_conflict_do_nothing(index_elements=["organization_id", "name"])
)


def chain(connection: Connection, organization_id: str) -> Sequence[UserStoreSettings]:
    """The organization's outside stores in the order they are asked."""
    return [_model(row) for row in connection.execute(_CHAIN, {"key_organization_id": organization_id})]


def find(connection: Connection, organization_id: str, name: str) -> UserStoreSettings | None:
    """The store of that name."""
    row = connection.execute(select(user_stores).where(_is(organization_id, name))).first()
    return None if row is None else _model(row)


def by_id(connection: Connection, organization_id: str, store_id: str) -> UserStoreSettings | None:
    """The store of that identifier, whatever its name is now."""
    here = and_(user_stores.c.organization_id == organization_id, user_stores.c.id == store_id)
    row = connection.execute(select(user_stores).where(here)).first()
    return None if row is None else _model(row)


def next_position(connection: Connection, organization_id: str) -> int:
    """The place after the last store."""
    query = select(func.max(user_stores.c.position)).where(user_stores.c.organization_id == organization_id)
    last: int | None = connection.execute(query).scalar()
    return 0 if last is None else last + 1


def add(connection: Connection, store: UserStoreSettings) -> bool:
    """Insert a store; False where the name is taken."""
    row = {"id": store.id, "organization_id": store.organization_id, "name": store.name, **_values(store)}
    return run(connection, _ADD, row).rowcount == 1


def change(connection: Connection, store: UserStoreSettings) -> None:
    """Write a store as it should be now."""
    connection.execute(
        update(user_stores).where(_is(store.organization_id, store.name)).values(**_values(store))
    )


def remove(connection: Connection, organization_id: str, name: str) -> None:
    """Delete a store's row."""
    connection.execute(delete(user_stores).where(_is(organization_id, name)))


def _values(store: UserStoreSettings) -> dict[str, Any]:
    return {
        "type": store.type,
        "position": store.position,
        "revision": store.revision,
        "options": store.options.model_dump(mode="json", exclude_defaults=True),
        "settings": dict(store.settings),
        "sealed": dict(store.sealed),
    }


def _model(row: Row[tuple[object, ...]]) -> UserStoreSettings:
    return UserStoreSettings(
        id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        type=row.type,
        position=row.position,
        revision=row.revision,
        settings=row.settings,
        options=StoreOptions.model_validate(row.options),
        sealed=row.sealed,
    )


def _is(organization_id: str, name: str) -> ColumnElement[bool]:
    return and_(user_stores.c.organization_id == organization_id, user_stores.c.name == name)
