"""API keys in SQL."""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from ostiary.apim.model import APIKey, KeyType
from ostiary.apim.repository.rows import rows_of, unique
from ostiary.apim.tables import api_keys

# Composed once: putting a statement together costs more than running it.
_ALL = select(api_keys).where(rows_of(api_keys, bindparam("organization_id"))).order_by(api_keys.c.name)
_OF = _ALL.where(api_keys.c.application_id == bindparam("application_id"))
_BY_HASH = _ALL.where(api_keys.c.sha256 == bindparam("sha256"))
_AFTER = (
    select(api_keys)
    .where(rows_of(api_keys, bindparam("organization_id"), api_keys.c.sha256 > bindparam("after")))
    .order_by(api_keys.c.sha256)
    .limit(bindparam("at_most"))
)
_INSERT = insert(api_keys)
_REMOVE = delete(api_keys).where(
    rows_of(api_keys, bindparam("key_organization_id"), api_keys.c.id == bindparam("key_id"))
)


def api_keys_after(connection: Connection, organization_id: str, after: str, at_most: int) -> list[APIKey]:
    """The next API keys by hash."""
    these = {"organization_id": organization_id, "after": after, "at_most": at_most}
    return [_key(row) for row in connection.execute(_AFTER, these)]


def api_keys_of(connection: Connection, organization_id: str, application_id: str) -> list[APIKey]:
    """The keys of an application, by name."""
    these = {"organization_id": organization_id, "application_id": application_id}
    return [_key(row) for row in connection.execute(_OF, these)]


def find_api_key(connection: Connection, organization_id: str, sha256: str) -> APIKey | None:
    """The key of that hash."""
    row = connection.execute(_BY_HASH, {"organization_id": organization_id, "sha256": sha256}).first()
    return None if row is None else _key(row)


def insert_api_key(connection: Connection, key: APIKey) -> None:
    """Write a new key."""
    row = {
        "id": key.id,
        "organization_id": key.organization_id,
        "application_id": key.application_id,
        "key_type": key.key_type.value,
        "name": key.name,
        "sha256": key.sha256,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "addresses": list(key.addresses),
        "referers": list(key.referers),
    }
    with unique(f"the application has an API key {key.name} already"):
        connection.execute(_INSERT, row)


def remove_api_key(connection: Connection, organization_id: str, key_id: str) -> None:
    """Delete a key."""
    connection.execute(_REMOVE, {"key_organization_id": organization_id, "key_id": key_id})


def _key(row: Row[Any]) -> APIKey:
    return APIKey(
        id=row.id,
        organization_id=row.organization_id,
        application_id=row.application_id,
        key_type=KeyType(row.key_type),
        name=row.name,
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
        addresses=tuple(row.addresses),
        referers=tuple(row.referers),
    )
