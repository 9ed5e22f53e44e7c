"""Nobody gives what it does not hold, nor takes over whoever holds more: the rule, where SCIM asks it."""

from collections.abc import Iterable

from scim2_models import ForbiddenException
from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.identity.model import Person
from ostiary.identity.standing import check_standing
from ostiary.permissions import Member, Permissions, holdings_of, not_held


def check_gift(actor: Permissions, *given: Iterable[str]) -> None:
    """Refuse to give or change what has a permission that the actor does not hold.

    Raises:
        ForbiddenException: names the permissions that are missing.
    """
    missing = not_held(actor, (node for nodes in given for node in nodes))
    if missing:
        raise ForbiddenException(
            detail=f"this takes what the role gives: you do not have {' and '.join(missing)}"
        )


def check_power(connection: Connection, actor: Permissions, person: Person, clock: Clock) -> None:
    """Refuse to make or change somebody who may do more than the actor.

    A password or an address takes over a person; a new one may bear a name that roles list already.

    Raises:
        ForbiddenException: names the permissions that are missing.
    """
    subject = person.subject
    groups = check_standing(connection, subject.organization_id, subject.id, clock).groups or frozenset()
    member = Member(subject.id, subject.store, subject.username, groups)
    missing = not_held(actor, holdings_of(connection, subject.organization_id, member).permissions)
    if missing:
        raise ForbiddenException(
            detail=f"this user may do more than you: you do not have {' and '.join(missing)}"
        )
