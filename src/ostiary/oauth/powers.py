"""Who may change a client: whoever holds all that the client holds, or could give to its users."""

from sqlalchemy import Connection

from ostiary.oauth.clients import find_client, is_client_id
from ostiary.oauth.model import ClientSpec
from ostiary.permissions import ADMIN, Principal, a_client, check_holds, permissions_of_name


def check_power_over_client(
    connection: Connection,
    caller: Principal,
    organization_id: str,
    client_id: str | None,
    spec: ClientSpec | None = None,
) -> None:
    """Refuse making, changing or removing a client that has, or will have, more than the caller.

    A client has the permissions of the roles that name it. One that is marked `internal_scopes` is trusted
    with the internal scopes of every user, so it is an administrator's to mark and to change.

    Raises:
        Escalation: names what the caller lacks.
    """
    if client_id is None or not is_client_id(client_id):  # none there is, and none that will be made
        known, wanted = None, frozenset[str]()
    else:
        known = find_client(connection, organization_id, client_id)
        wanted = permissions_of_name(connection, organization_id, a_client(client_id))
    marked = any(one is not None and one.internal_scopes for one in (known, spec))
    check_holds(caller, wanted | {ADMIN} if marked else wanted)
