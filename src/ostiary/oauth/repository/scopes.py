"""Registered API scopes and their roles in SQL."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ostiary.oauth.model import ScopeSpec
from ostiary.oauth.tables import scope_roles, scopes


def named(connection: Connection, organization_id: str, names: Iterable[str]) -> dict[str, ScopeSpec]:
    """Those of the named scopes that the organization has registered."""
    wanted = list(names)
    return _read(connection, organization_id, scopes.c.name.in_(wanted)) if wanted else {}


def all_of(connection: Connection, organization_id: str) -> dict[str, ScopeSpec]:
    """The organization's scopes, by name."""
    return _read(connection, organization_id, scopes.c.name.is_not(None))


def of_roles(connection: Connection, organization_id: str, roles: Iterable[str]) -> list[str]:
    """The names of the scopes that one of these roles gives."""
    here = (scope_roles.c.organization_id == organization_id) & scope_roles.c.role.in_(list(roles))
    return list(connection.execute(select(scope_roles.c.scope).where(here).distinct()).scalars())


def put(connection: Connection, organization_id: str, scope: ScopeSpec) -> None:
    """Write a scope, new or known."""
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    values = {"description": scope.description, "everyone": scope.everyone}
    statement = upsert(scopes).values(organization_id=organization_id, name=scope.name, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["organization_id", "name"], set_=values)
    )  # the row is locked now: two who change one scope take turns
    bound = (scope_roles.c.organization_id == organization_id) & (scope_roles.c.scope == scope.name)
    connection.execute(delete(scope_roles).where(bound))
    rows = [
        {"organization_id": organization_id, "scope": scope.name, "role": role}
        for role in sorted(scope.roles)
    ]
    if rows:
        connection.execute(insert(scope_roles), rows)


def remove(connection: Connection, organization_id: str, name: str) -> bool:
    """Delete a scope and its bindings; False where there is none."""
    bound = (scope_roles.c.organization_id == organization_id) & (scope_roles.c.scope == name)
    connection.execute(delete(scope_roles).where(bound))
    here = (scopes.c.organization_id == organization_id) & (scopes.c.name == name)
    return connection.execute(delete(scopes).where(here)).rowcount > 0


def _read(connection: Connection, organization_id: str, which: ColumnElement[bool]) -> dict[str, ScopeSpec]:
    joined = scopes.outerjoin(
        scope_roles,
        (scope_roles.c.organization_id == scopes.c.organization_id) & (scope_roles.c.scope == scopes.c.name),
    )
    query = (
        select(scopes.c.name, scopes.c.description, scopes.c.everyone, scope_roles.c.role)
        .select_from(joined)
        .where(scopes.c.organization_id == organization_id, which)
        .order_by(scopes.c.name)
    )
    roles: dict[str, set[str]] = {}
    about: dict[str, tuple[str, bool]] = {}
    for name, description, everyone, role in connection.execute(query):
        about[name] = (description, everyone)
        roles.setdefault(name, set()).update(() if role is None else (role,))
    return {
        name: ScopeSpec(name, description, frozenset(roles[name]), everyone)
        for name, (description, everyone) in about.items()
    }
