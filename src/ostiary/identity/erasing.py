"""Everything held about one person, to hand it out or to erase it.

Erasing ends every token, deletes what is the person's alone, takes the person out of what is not, and
destroys the key under which the audit log keeps what is theirs. A user of an outside store who logs in again
is somebody new.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.people import Holding, Person
from ostiary.foundation.secrets import SecretBox
from ostiary.identity.errors import UnknownUser
from ostiary.identity.repository import subjects
from ostiary.identity.user_names import PRIMARY, display_name
from ostiary.organizations import Organization, narrow


def find_person(connection: Connection, organization: Organization, subject_id: str) -> Person:
    """Somebody of the organization, by subject.

    Raises:
        UnknownUser: nobody there has that identifier.
    """
    found = subjects.standing_row(connection, organization.id, subject_id)
    if found is None:
        raise UnknownUser(subject_id)
    return Person(
        organization.id,
        subject_id,
        found.store_id,
        found.store,
        found.immutable_id,
        found.username,
        found.username if found.store == PRIMARY else f"{found.store}/{found.username}",
        display_name(found.store, found.username, organization.name),
    )


def held_about(
    connection: Connection, box: SecretBox, holdings: Sequence[Holding], person: Person
) -> dict[str, Any]:
    """Everything that is held about somebody, by slice; no secret is in it."""
    wanted = audit.Wanted(concerning=person.subject_id)
    records = list(audit.read_records(connection, box, person.organization_id, wanted))
    return {one.name: one.held(connection, person) for one in holdings} | {"audit_log": records}


def erase(connection: Connection, box: SecretBox, holdings: Sequence[Holding], person: Person) -> None:
    """Forget somebody. What waits to be chained is chained first, under the key that goes."""
    here = person.organization_id
    narrow(connection, here, "subject", person.subject_id)
    for holding in holdings:
        holding.forget(connection, person)
    audit.forget_people(connection, box, here, person.subject_id, audit.named(person.store, person.username))
    audit.note(connection, here, "user", person.subject_id, {}, {}, verb="erased")
