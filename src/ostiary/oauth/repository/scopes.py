"""Registered API scopes and their roles in SQL."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ostiary.oauth.model import ScopeSpec
from ostiary.oauth.tables import scope_roles, scopes

_ALL = (
    select(
        scopes.c.name,
        scopes.c.description,
        scopes.c.everyone,
        scopes.c.display_name,
        scope_roles.c.role,
    )
    .select_from(
        scopes.outerjoin(
            scope_roles,
            (scope_roles.c.organization_id == scopes.c.organization_id)
            & (scope_roles.c.scope == scopes.c.name),
        )
    )
    .where(scopes.c.organization_id == bindparam("organization_id"))
    .order_by(scopes.c.name)
)
_NAMED = _ALL.where(scopes.c.name.in_(bindparam("names", expanding=True)))
_SAID = ("description", "everyone", "display_name")
_INSERTS = (("postgresql", postgresql_insert(scopes)), ("sqlite", sqlite_insert(scopes)))
_PUT = {
    dialect: statement.on_conflict_do_update(
        index_elements=["organization_id", "name"],
        set_={name: statement.excluded[name] for name in _SAID},
    )
    for dialect, statement in _INSERTS
}
_ADD = {
    dialect: statement.on_conflict_do_nothing(index_elements=["organization_id", "name"]).returning(
        scopes.c.name
    )
    for dialect, statement in _INSERTS
}
_BIND = insert(scope_roles)
_UNBIND = delete(scope_roles).where(
    scope_roles.c.organization_id == bindparam("key_organization_id"),
    scope_roles.c.scope == bindparam("key_scope"),
)


def named(connection: Connection, organization_id: str, names: Iterable[str]) -> dict[str, ScopeSpec]:
    """Those of the named scopes that the organization has registered."""
    these = {"organization_id": organization_id, "names": list(names)}
    return _composed(connection.execute(_NAMED, these)) if these["names"] else {}


def all_of(connection: Connection, organization_id: str) -> dict[str, ScopeSpec]:
    """The organization's scopes, by name."""
    return _composed(connection.execute(_ALL, {"organization_id": organization_id}))


def put(connection: Connection, organization_id: str, scope: ScopeSpec) -> None:
    """Write a scope, new or known."""
    connection.execute(_PUT[connection.dialect.name], _row(organization_id, scope))
    # the row is locked now: two who change one scope take turns
    connection.execute(_UNBIND, {"key_organization_id": organization_id, "key_scope": scope.name})
    _bind(connection, organization_id, scope)


def add(connection: Connection, organization_id: str, scope: ScopeSpec) -> bool:
    """Write a new scope; False where there is one of that name, which stays as it is."""
    if connection.execute(_ADD[connection.dialect.name], _row(organization_id, scope)).first() is None:
        return False
    _bind(connection, organization_id, scope)
    return True


def _row(organization_id: str, scope: ScopeSpec) -> dict[str, Any]:
    said = {name: getattr(scope, name) for name in _SAID}
    return {"organization_id": organization_id, "name": scope.name, **said}


def _bind(connection: Connection, organization_id: str, scope: ScopeSpec) -> None:
    rows = [
        {"organization_id": organization_id, "scope": scope.name, "role": role}
        for role in sorted(scope.roles)
    ]
    if rows:
        connection.execute(_BIND, rows)


def remove(connection: Connection, organization_id: str, name: str) -> bool:
    """Delete a scope and its bindings; False where there is none."""
    bound = (scope_roles.c.organization_id == organization_id) & (scope_roles.c.scope == name)
    connection.execute(delete(scope_roles).where(bound))
    here = (scopes.c.organization_id == organization_id) & (scopes.c.name == name)
    return connection.execute(delete(scopes).where(here)).rowcount > 0


def _composed(rows: Iterable[Any]) -> dict[str, ScopeSpec]:
    found: dict[str, ScopeSpec] = {}
    for name, description, everyone, display_name, role in rows:
        before = found[name].roles if name in found else frozenset()
        roles = before if role is None else before | {role}
        found[name] = ScopeSpec(name, description, roles, everyone, display_name)
    return found
