"""What the gateway slice holds about a person: why requests were refused, where that names somebody."""

import json
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, delete, select

from ostiary.foundation.people import Holding, Person
from ostiary.gateway.tables import explanations


def _here(person: Person) -> ColumnElement[bool]:
    written = json.dumps(person.displayed)[1:-1]  # as the column's text has it: not ASCII is escaped
    names = cast(explanations.c.document, Text).contains(written, autoescape=True)
    return and_(explanations.c.organization_id == person.organization_id, names)


def _held(connection: Connection, person: Person) -> Any:
    return connection.execute(select(explanations.c.document).where(_here(person))).scalars().all()


def _forget(connection: Connection, person: Person) -> None:
    connection.execute(delete(explanations).where(_here(person)))


PERSONAL_DATA = Holding("explanations", _held, _forget)
