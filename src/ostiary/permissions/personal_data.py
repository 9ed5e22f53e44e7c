"""What the permissions slice holds about a person: the roles that name somebody."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select

from ostiary.foundation.people import Holding, Person
from ostiary.permissions.tables import role_members, roles


def _here(person: Person) -> ColumnElement[bool]:
    """By subject, or by name where the name was never tied to anybody."""
    named = and_(
        role_members.c.subject_id.is_(None),
        role_members.c.store == person.store,
        role_members.c.name == person.username,
    )
    return and_(
        role_members.c.organization_id == person.organization_id,
        role_members.c.kind == "user",
        or_(role_members.c.subject_id == person.subject_id, named),
    )


def _held(connection: Connection, person: Person) -> Any:
    joined = role_members.join(roles, roles.c.id == role_members.c.role_id)
    query = select(roles.c.name).select_from(joined).where(_here(person)).order_by(roles.c.name)
    return connection.execute(query).scalars().all()


def _forget(connection: Connection, person: Person) -> None:
    connection.execute(delete(role_members).where(_here(person)))


PERSONAL_DATA = Holding("roles", _held, _forget)
