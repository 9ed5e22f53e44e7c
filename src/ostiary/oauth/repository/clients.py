"""Clients in SQL."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ostiary.oauth.errors import ClientIdTaken
from ostiary.oauth.model import Client, TokenFormat, Validity
from ostiary.oauth.tables import access_tokens, clients, token_families

# Built once: composing a statement costs more than SQLite takes to answer it.
_ANYWHERE = select(clients).where(clients.c.client_id == bindparam("client_id"))
_INSERT = insert(clients)
_UPDATE = update(clients).where(
    clients.c.client_id == bindparam("key_client_id"),
    clients.c.organization_id == bindparam("key_organization_id"),
)
_AFTER = (
    select(clients)
    .where(
        clients.c.organization_id == bindparam("organization_id"), clients.c.client_id > bindparam("after")
    )
    .order_by(clients.c.client_id)
    .limit(bindparam("at_most"))
)
_OF_ORGANIZATION = _ANYWHERE.where(clients.c.organization_id == bindparam("organization_id"))


def find_anywhere(connection: Connection, client_id: str) -> Client | None:
    """The client of that id, whatever its organization: client authentication alone may ask so."""
    row = connection.execute(_ANYWHERE, {"client_id": client_id}).first()
    return None if row is None else _model(row)


def find(connection: Connection, organization_id: str, client_id: str) -> Client | None:
    """The organization's client of that id."""
    these = {"client_id": client_id, "organization_id": organization_id}
    row = connection.execute(_OF_ORGANIZATION, these).first()
    return None if row is None else _model(row)


def all_of(connection: Connection, organization_id: str) -> list[Client]:
    """The organization's clients, by id."""
    query = select(clients).where(clients.c.organization_id == organization_id).order_by(clients.c.client_id)
    return [_model(row) for row in connection.execute(query)]


def after(connection: Connection, organization_id: str, client_id: str, at_most: int) -> list[Client]:
    """The organization's next clients by id."""
    these = {"organization_id": organization_id, "after": client_id, "at_most": at_most}
    return [_model(row) for row in connection.execute(_AFTER, these)]


def longest_lifetimes(connection: Connection, organization_id: str) -> tuple[timedelta | None, bool]:
    """The longest lifetime of access tokens that a client has of its own, and whether one may choose any."""
    here = clients.c.organization_id == organization_id
    own = select(func.max(clients.c.access_token_lifetime_seconds)).where(here)
    chosen = select(clients.c.client_id).where(here, clients.c.validity == str(Validity.UNLIMITED)).limit(1)
    return _lifetime(connection.execute(own).scalar()), connection.execute(chosen).first() is not None


def asking(connection: Connection, organization_id: str, store: str) -> list[str]:
    """The ids of the organization's clients that have that user store on their list."""
    query = select(clients.c.client_id, clients.c.user_stores).where(
        clients.c.organization_id == organization_id, clients.c.user_stores.is_not(None)
    )
    return sorted(row.client_id for row in connection.execute(query) if store in row.user_stores)


def add(connection: Connection, client: Client, now: datetime) -> None:
    """Write a new client.

    Raises:
        ClientIdTaken: its id exists in the installation.
    """
    row = {"client_id": client.client_id, "organization_id": client.organization_id, "created_at": now}
    try:
        with connection.begin_nested():
            connection.execute(_INSERT, row | _columns(client))
    except IntegrityError as error:
        raise ClientIdTaken(client.client_id) from error


def change(connection: Connection, client: Client) -> None:
    """Write a known client."""
    here = {"key_client_id": client.client_id, "key_organization_id": client.organization_id}
    connection.execute(_UPDATE, here | _columns(client))


def remove(connection: Connection, organization_id: str, client_id: str) -> bool:
    """Delete a client with its tokens; False where there is none."""
    for table in (access_tokens, token_families):
        here = (table.c.client_id == client_id) & (table.c.organization_id == organization_id)
        connection.execute(delete(table).where(here))
    here = (clients.c.client_id == client_id) & (clients.c.organization_id == organization_id)
    return connection.execute(delete(clients).where(here)).rowcount > 0


def _columns(client: Client) -> dict[str, Any]:
    return {
        "name": client.name,
        "secret_fingerprint": client.secret_fingerprint,
        "grant_types": sorted(client.grant_types),
        "token_format": str(client.token_format),
        "scopes": None if client.scopes is None else sorted(client.scopes),
        "default_scope": sorted(client.default_scope),
        "strict_scopes": client.strict_scopes,
        "internal_scopes": client.internal_scopes,
        "is_public": client.is_public,
        "is_disabled": client.is_disabled,
        "access_token_lifetime_seconds": _seconds(client.access_token_lifetime),
        "refresh_token_lifetime_seconds": _seconds(client.refresh_token_lifetime),
        "validity": str(client.validity),
        "user_stores": None if client.user_stores is None else list(client.user_stores),
    }


def _model(row: Row[Any]) -> Client:
    return Client(
        client_id=row.client_id,
        organization_id=row.organization_id,
        name=row.name,
        secret_fingerprint=row.secret_fingerprint,
        grant_types=frozenset(row.grant_types),
        token_format=TokenFormat(row.token_format),
        scopes=None if row.scopes is None else frozenset(row.scopes),
        default_scope=frozenset(row.default_scope),
        strict_scopes=row.strict_scopes,
        internal_scopes=row.internal_scopes,
        is_public=row.is_public,
        is_disabled=row.is_disabled,
        access_token_lifetime=_lifetime(row.access_token_lifetime_seconds),
        refresh_token_lifetime=_lifetime(row.refresh_token_lifetime_seconds),
        validity=Validity(row.validity),
        user_stores=None if row.user_stores is None else tuple(row.user_stores),
    )


def _seconds(lifetime: timedelta | None) -> int | None:
    return None if lifetime is None else lifetime // timedelta(seconds=1)


def _lifetime(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
