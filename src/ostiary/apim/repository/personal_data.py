"""What API management holds about a person: the applications somebody owns, and deny policies about somebody.

An application outlives its owner, whose name becomes the subject's identifier, which says nothing of anybody.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select, update

from ostiary.apim.tables import applications, deny_policies
from ostiary.foundation.events import Event, record
from ostiary.foundation.people import Holding, Person, rows_held


def _owned(person: Person) -> ColumnElement[bool]:
    return and_(
        applications.c.organization_id == person.organization_id,
        or_(applications.c.owner_subject == person.subject_id, applications.c.owner == person.written),
    )


def _denied(person: Person) -> ColumnElement[bool]:
    return and_(
        deny_policies.c.organization_id == person.organization_id,
        deny_policies.c.condition == "USER",
        deny_policies.c.value == person.displayed,
    )


def _held(connection: Connection, person: Person) -> Any:
    return {
        "applications": rows_held(connection, applications, _owned(person)),
        "deny_policies": rows_held(connection, deny_policies, _denied(person)),
    }


def _forget(connection: Connection, person: Person) -> None:
    here = person.organization_id
    owned = connection.execute(select(applications.c.id).where(_owned(person))).scalars().all()
    nobody = {"owner": person.subject_id, "owner_subject": None}
    connection.execute(update(applications).where(_owned(person)).values(nobody))
    denied = connection.execute(select(deny_policies.c.id).where(_denied(person))).scalars().all()
    connection.execute(delete(deny_policies).where(_denied(person)))
    record(connection, *(Event("application", here, id) for id in owned))
    record(connection, *(Event("denial", here, id) for id in denied))


PERSONAL_DATA = Holding("api_management", _held, _forget)
