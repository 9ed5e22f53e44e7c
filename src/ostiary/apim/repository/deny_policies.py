"""Deny policies in SQL."""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ostiary.apim.model import DenyPolicy
from ostiary.apim.repository.rows import could_be_id, rows_of, unique
from ostiary.apim.tables import deny_policies

# Composed once: putting a statement together costs more than running it.
_ALL = (
    select(deny_policies)
    .where(rows_of(deny_policies, bindparam("organization_id")))
    .order_by(deny_policies.c.condition, deny_policies.c.value, deny_policies.c.invert)
)
_BY_ID = _ALL.where(deny_policies.c.id == bindparam("id"))
_ABOUT = _ALL.where(
    deny_policies.c.condition.in_(("APPLICATION", "API")), deny_policies.c.value == bindparam("value")
)
_INSERT = insert(deny_policies)
_THIS = rows_of(deny_policies, bindparam("key_organization_id"), deny_policies.c.id == bindparam("key_id"))
_SWITCH = update(deny_policies).where(_THIS)
_REMOVE = delete(deny_policies).where(_THIS)


def list_deny_policies(connection: Connection, organization_id: str) -> list[DenyPolicy]:
    """Every deny policy of the organization."""
    return [_policy(row) for row in connection.execute(_ALL, {"organization_id": organization_id})]


def find_deny_policy(connection: Connection, organization_id: str, policy_id: str) -> DenyPolicy | None:
    """The deny policy of that identifier."""
    if not could_be_id(policy_id):
        return None
    row = connection.execute(_BY_ID, {"organization_id": organization_id, "id": policy_id}).first()
    return None if row is None else _policy(row)


def deny_policies_about(connection: Connection, organization_id: str, value: str) -> list[DenyPolicy]:
    """The deny policies about an application or API version, by its identifier."""
    these = {"organization_id": organization_id, "value": value}
    return [_policy(row) for row in connection.execute(_ABOUT, these)]


def insert_deny_policy(connection: Connection, policy: DenyPolicy) -> None:
    """Write a new deny policy."""
    row = {
        "id": policy.id,
        "organization_id": policy.organization_id,
        "condition": str(policy.condition),
        "value": policy.value,
        "invert": policy.invert,
        "enabled": policy.enabled,
    }
    with unique(f"there is such a deny policy ({policy.condition} {policy.value}) already"):
        connection.execute(_INSERT, row)


def switch_deny_policy(connection: Connection, policy: DenyPolicy) -> None:
    """Write whether a policy is in force."""
    here = {"key_organization_id": policy.organization_id, "key_id": policy.id}
    connection.execute(_SWITCH, here | {"enabled": policy.enabled})


def remove_deny_policy(connection: Connection, organization_id: str, policy_id: str) -> None:
    """Delete a deny policy."""
    connection.execute(_REMOVE, {"key_organization_id": organization_id, "key_id": policy_id})


def _policy(row: Row[Any]) -> DenyPolicy:
    return DenyPolicy(row.id, row.organization_id, row.condition, row.value, row.invert, row.enabled)
