"""Who may change what belongs to a user: whoever holds all that the user holds."""

from sqlalchemy import Connection

from ostiary.identity.repository import subjects, user_stores
from ostiary.identity.user_names import PRIMARY
from ostiary.permissions import (
    Member,
    MemberName,
    Principal,
    check_holds,
    permissions_of_name,
    permissions_through_store,
    read_holdings,
)


def check_power_over(
    connection: Connection, caller: Principal, organization_id: str, subject_id: str
) -> None:
    """Refuse changing credentials, factors, recovery data, links, sessions or standing of a stronger user.

    A subject that is not there is nobody's to protect: the use case says that there is none.

    Raises:
        Escalation: the user holds what the caller does not; names it.
    """
    row = subjects.standing_row(connection, organization_id, subject_id)
    if row is None:
        return
    told = row.groups or ()
    member = Member(subject_id, row.store, row.username, frozenset(f"{row.store}/{group}" for group in told))
    held = read_holdings(connection, organization_id, member).permissions
    named = permissions_of_name(connection, organization_id, MemberName("user", row.store, row.username))
    check_holds(caller, held | named)


def check_power_to_unlock(
    connection: Connection, caller: Principal, organization_id: str, subject_id: str
) -> None:
    """Refuse letting somebody in again who is counted together with a stronger user.

    Wrong passwords are counted by name: who had the name before, or bears it in other letters where the store
    takes that for somebody else, would be guessed at without end.

    Raises:
        Escalation: one of them holds what the caller does not; names it.
    """
    store, known = subjects.names(connection, organization_id, subject_id) or ("", ())
    settings = user_stores.find(connection, organization_id, store)
    if settings is not None and settings.case_sensitive:
        check_power_over_store(connection, caller, organization_id, store)
    counted = {subject_id}
    for name in known:
        check_holds(caller, permissions_of_name(connection, organization_id, MemberName("user", store, name)))
        counted.update(subjects.bearers(connection, organization_id, store, name))
    for one in sorted(counted):
        check_power_over(connection, caller, organization_id, one)


def check_new_user(connection: Connection, caller: Principal, organization_id: str, username: str) -> None:
    """Refuse making a user of PRIMARY whose canonical name roles give more than the caller holds.

    Raises:
        Escalation: names what the caller lacks.
    """
    named = MemberName("user", PRIMARY, username)
    check_holds(caller, permissions_of_name(connection, organization_id, named))


def check_power_over_store(
    connection: Connection, caller: Principal, organization_id: str, store: str
) -> None:
    """Refuse deciding who the users of a store are, where they hold what the caller does not.

    Raises:
        Escalation: names what the caller lacks.
    """
    check_holds(caller, permissions_through_store(connection, organization_id, store))
