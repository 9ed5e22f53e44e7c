"""Who may change what somebody logs in or is recognized with: nobody changes that of a mightier person.

Otherwise whoever may set an administrator's password, factor or recovery data may become one.
"""

from sqlalchemy import Connection

from ostiary.identity.model import Subject
from ostiary.permissions import Member, Permissions, holds_all, read_holdings


def may_administer(
    connection: Connection, actor: Permissions, subject: Subject, groups: frozenset[str]
) -> bool:
    """Whether whoever holds `actor` now holds every permission of the subject too.

    `groups` are those the subject's store told last. What a role would give the subject once its name is
    tied to it counts already.
    """
    member = Member(subject.id, subject.store, subject.username, groups)
    held = read_holdings(connection, subject.organization_id, member, pin=lambda *_: True)
    return holds_all(actor, held.permissions)
