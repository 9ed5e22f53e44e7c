"""Applications and their keys in SQL."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from ostiary.apim.model import Application, ApplicationKeys, KeyType
from ostiary.apim.repository.rows import could_be_id, rows_of, unique
from ostiary.apim.tables import application_keys, applications

# Composed once: putting a statement together costs more than running it.
_ALL = (
    select(applications)
    .where(rows_of(applications, bindparam("organization_id")))
    .order_by(applications.c.name, applications.c.owner)
)
_BY_ID = _ALL.where(applications.c.id == bindparam("id"))
_NAMED = _ALL.where(applications.c.name == bindparam("name"))
APPLICATIONS_AT_ONCE: Final = 500
"""Whose keys are asked for by their ids; for more of them, all keys of the organization are read."""
_KEYS = select(application_keys).where(rows_of(application_keys, bindparam("organization_id")))
_KEYS_OF = _KEYS.where(application_keys.c.application_id.in_(bindparam("ids", expanding=True)))
_KEYS_OF_CLIENT = _KEYS.where(application_keys.c.client_id == bindparam("client_id"))
_KEYS_OF_CLIENTS = _KEYS.where(application_keys.c.client_id.in_(bindparam("ids", expanding=True)))
_AFTER = (
    select(applications)
    .where(rows_of(applications, bindparam("organization_id"), applications.c.id > bindparam("after")))
    .order_by(applications.c.id)
    .limit(bindparam("at_most"))
)
_INSERT = insert(applications)
_INSERT_KEYS = insert(application_keys)


def find_application(connection: Connection, organization_id: str, application_id: str) -> Application | None:
    """The application of that identifier."""
    if not could_be_id(application_id):
        return None
    found = _read_applications(connection, organization_id, _BY_ID, id=application_id)
    return found[0] if found else None


def list_applications(connection: Connection, organization_id: str) -> list[Application]:
    """Every application of the organization, by name and owner."""
    return _read_applications(connection, organization_id, _ALL)


def applications_after(
    connection: Connection, organization_id: str, after: str, at_most: int
) -> list[Application]:
    """The next applications by identifier."""
    return _read_applications(connection, organization_id, _AFTER, after=after, at_most=at_most)


def applications_named(connection: Connection, organization_id: str, name: str) -> list[Application]:
    """The applications of that name, one for each owner."""
    return _read_applications(connection, organization_id, _NAMED, name=name)


def insert_application(connection: Connection, application: Application) -> None:
    """Write a new application, without keys."""
    row = {"id": application.id, "organization_id": application.organization_id}
    with unique(f"{application.owner} has an application {application.name} already"):
        connection.execute(_INSERT, row | _application_values(application))


def update_application(connection: Connection, application: Application) -> None:
    """Write everything about an existing application but its keys."""
    here = rows_of(applications, application.organization_id, applications.c.id == application.id)
    with unique(f"{application.owner} has an application {application.name} already"):
        connection.execute(update(applications).where(here).values(_application_values(application)))


def remove_application(connection: Connection, organization_id: str, application_id: str) -> None:
    """Delete an application that has neither keys nor subscriptions."""
    here = rows_of(applications, organization_id, applications.c.id == application_id)
    connection.execute(delete(applications).where(here))


def find_keys(connection: Connection, organization_id: str, client_id: str) -> ApplicationKeys | None:
    """Which application a client belongs to; None for one that belongs to none."""
    these = {"organization_id": organization_id, "client_id": client_id}
    row = connection.execute(_KEYS_OF_CLIENT, these).first()
    return None if row is None else _keys(row)


def keys_of_clients(
    connection: Connection, organization_id: str, client_ids: Sequence[str]
) -> dict[str, ApplicationKeys]:
    """Which application each of these clients belongs to, where one does."""
    these = {"organization_id": organization_id, "ids": list(client_ids)}
    return {row.client_id: _keys(row) for row in connection.execute(_KEYS_OF_CLIENTS, these)}


def insert_keys(connection: Connection, keys: ApplicationKeys) -> None:
    """Write that a client is an application's."""
    with unique(f"the application has {keys.key_type} keys already, or {keys.client_id} is another's"):
        connection.execute(
            _INSERT_KEYS,
            {
                "organization_id": keys.organization_id,
                "application_id": keys.application_id,
                "key_type": keys.key_type.value,
                "client_id": keys.client_id,
            },
        )


def remove_keys(connection: Connection, organization_id: str, application_id: str, key_type: KeyType) -> None:
    """Delete an application's keys of one type."""
    this = (application_keys.c.application_id == application_id) & (
        application_keys.c.key_type == key_type.value
    )
    connection.execute(delete(application_keys).where(rows_of(application_keys, organization_id, this)))


def _read_applications(
    connection: Connection, organization_id: str, query: Select[Any], **values: object
) -> list[Application]:
    rows = connection.execute(query, {"organization_id": organization_id, **values}).all()
    if not rows:
        return []
    held: defaultdict[str, dict[KeyType, str]] = defaultdict(dict)
    keys, these = _KEYS, dict[str, Any](organization_id=organization_id)
    if len(rows) <= APPLICATIONS_AT_ONCE:
        keys, these = _KEYS_OF, {**these, "ids": [row.id for row in rows]}
    for key in connection.execute(keys, these):
        held[key.application_id][KeyType(key.key_type)] = key.client_id
    return [
        Application(
            row.id, row.organization_id, row.name, row.owner, row.owner_subject, row.tier, dict(held[row.id])
        )
        for row in rows
    ]


def _application_values(application: Application) -> dict[str, Any]:
    return {
        "name": application.name,
        "owner": application.owner,
        "owner_subject": application.owner_subject,
        "tier": application.tier,
    }


def _keys(row: Row[Any]) -> ApplicationKeys:
    return ApplicationKeys(row.organization_id, row.application_id, KeyType(row.key_type), row.client_id)
