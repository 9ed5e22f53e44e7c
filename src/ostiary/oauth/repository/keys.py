"""Signing keys in SQL. Every change of state is one conditional UPDATE, so two workers may try at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    delete,
    insert,
    literal,
    select,
    update,
)

from ostiary.foundation.database import Instant
from ostiary.foundation.memory import remembered
from ostiary.oauth.model import KeyState
from ostiary.oauth.tables import signing_keys


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair of an organization; its private half is sealed."""

    kid: str
    organization_id: str
    state: KeyState
    public_jwk: Mapping[str, str]
    private_sealed: str
    signs_from: datetime
    needed_until: datetime


_ANYWHERE = select(signing_keys).where(signing_keys.c.kid == bindparam("kid"))
_OF_ORGANIZATION = (
    select(signing_keys)
    .where(signing_keys.c.organization_id == bindparam("organization_id"))
    .order_by(signing_keys.c.kid)
)


def of_organization(connection: Connection, organization_id: str) -> dict[KeyState, list[SigningKey]]:
    """The organization's keys by state; each state is there, perhaps empty."""
    found: dict[KeyState, list[SigningKey]] = {state: [] for state in KeyState}
    for row in connection.execute(_OF_ORGANIZATION, {"organization_id": organization_id}):
        key = _model(row)
        found[key.state].append(key)
    return found


def everywhere(connection: Connection) -> list[SigningKey]:
    """The keys of every organization."""
    return [_model(row) for row in connection.execute(select(signing_keys).order_by(signing_keys.c.kid))]


def find(connection: Connection, kid: str) -> SigningKey | None:
    """The key of that id. Whoever verifies with it compares its organization with the token's."""

    def read(connection: Connection) -> SigningKey | None:
        row = connection.execute(_ANYWHERE, {"kid": kid}).first()
        return None if row is None else _model(row)

    return remembered(connection, ("signing key", kid), read)


def add(connection: Connection, key: SigningKey) -> None:
    """Write a new key; an IntegrityError says that another worker has just written one of this state."""
    row = {
        "kid": key.kid,
        "organization_id": key.organization_id,
        "state": str(key.state),
        "public_jwk": dict(key.public_jwk),
        "private_sealed": key.private_sealed,
        "signs_from": key.signs_from,
        "needed_until": key.needed_until,
    }
    connection.execute(insert(signing_keys).values(row))


def move(connection: Connection, key: SigningKey, to: KeyState, needed_until: datetime) -> bool:
    """Change the state of `key`; False where another worker has done so already.

    It stays published until `needed_until` at least, longer where a token of unusual lifetime needs it.
    """
    here = _this(key) & (signing_keys.c.state == str(key.state))
    column = signing_keys.c.needed_until
    later = case((column < needed_until, literal(needed_until, Instant)), else_=column)
    return (
        connection.execute(
            update(signing_keys).where(here).values(state=str(to), needed_until=later)
        ).rowcount
        == 1
    )


def keep_until(connection: Connection, key: SigningKey, until: datetime) -> None:
    """Publish the key at least as long as a token of unusual lifetime lives."""
    here = _this(key) & (signing_keys.c.needed_until < until)
    connection.execute(update(signing_keys).where(here).values(needed_until=until))


def remove(connection: Connection, key: SigningKey) -> bool:
    """Delete a key; False where it is gone already."""
    return connection.execute(delete(signing_keys).where(_this(key))).rowcount == 1


def _this(key: SigningKey) -> ColumnElement[bool]:
    return (signing_keys.c.kid == key.kid) & (signing_keys.c.organization_id == key.organization_id)


def _model(row: Row[Any]) -> SigningKey:
    return SigningKey(
        kid=row.kid,
        organization_id=row.organization_id,
        state=KeyState(row.state),
        public_jwk=row.public_jwk,
        private_sealed=row.private_sealed,
        signs_from=row.signs_from,
        needed_until=row.needed_until,
    )
