"""Subjects in SQL: who has been seen, under which `sub`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    exists,
    false,
    func,
    or_,
    select,
    update,
)

from ostiary.foundation.identifiers import new_id
from ostiary.identity.model import Subject, UserStoreSettings
from ostiary.identity.repository import run, upserts
from ostiary.identity.repository.user_stores import by_id
from ostiary.identity.tables import kept_credentials, subjects, user_stores, users
from ostiary.identity.user_names import PRIMARY
from ostiary.identity.user_stores.contract import KnownUser, UserRecord

_AT_ONCE = 500
_KEY = ("organization_id", "store_id", "immutable_id")
_SEE = upserts(
    subjects,
    lambda insert: insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "store": insert.excluded.store,
            "username": insert.excluded.username,
            "password_checked_at": func.coalesce(
                insert.excluded.password_checked_at, subjects.c.password_checked_at
            ),
            "confirmed_at": func.coalesce(insert.excluded.confirmed_at, subjects.c.confirmed_at),
            "known_as": insert.excluded.known_as,
        },
    ).returning(subjects.c.id, subjects.c.groups, subjects.c.claims),
)
_HERE = and_(
    subjects.c.organization_id == bindparam("key_organization_id"), subjects.c.id == bindparam("key_id")
)
_TOLD = select(subjects.c.groups, subjects.c.claims).where(_HERE)
_CLAIMS = (
    select(subjects.c.claims, users.c.claims.label("own"))
    .join_from(
        subjects,
        users,
        and_(
            subjects.c.store_id == PRIMARY,  # ids of other stores are theirs to choose
            users.c.organization_id == subjects.c.organization_id,
            users.c.id == subjects.c.immutable_id,
        ),
        isouter=True,
    )
    .where(_HERE)
)
_LEARN = update(subjects).where(_HERE)
_BEARERS = select(subjects.c.id).where(
    subjects.c.organization_id == bindparam("organization_id"),
    subjects.c.store == bindparam("store"),
    or_(subjects.c.username == bindparam("name"), subjects.c.known_as == bindparam("name")),
)
_TWO_BEARERS = _BEARERS.limit(2)
_MOVED = exists().where(
    kept_credentials.c.organization_id == subjects.c.organization_id,
    kept_credentials.c.store_id == subjects.c.store_id,
    kept_credentials.c.immutable_id == subjects.c.immutable_id,
)
_STANDING = (
    select(
        subjects,
        and_(subjects.c.store_id == PRIMARY, users.c.id.is_not(None)).label("user_exists"),
        user_stores.c.id.is_not(None).label("store_exists"),
        user_stores.c.options.label("store_options"),
        user_stores.c.type.label("store_type"),
        user_stores.c.settings.label("store_settings"),
        _MOVED.label("has_moved"),
    )
    .join_from(
        subjects,
        users,
        and_(users.c.organization_id == subjects.c.organization_id, users.c.id == subjects.c.immutable_id),
        isouter=True,
    )
    .join(
        user_stores,
        and_(
            user_stores.c.organization_id == subjects.c.organization_id,
            user_stores.c.id == subjects.c.store_id,
        ),
        isouter=True,
    )
    .where(_HERE)
)


@dataclass(frozen=True, slots=True)
class Belonging:
    """What a store told last of a subject: groups, in order, and claims; None where it never did."""

    groups: Sequence[str] | None
    claims: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What tells subjects of one name apart: their identifier in the store, and when they were there."""

    immutable_id: str
    first_seen_at: datetime
    password_checked_at: datetime | None


def see(
    connection: Connection,
    organization_id: str,
    store_id: str,
    store: str,
    record: UserRecord,
    now: datetime,
    checked_at: datetime | None = None,
    known_as: str | None = None,
) -> tuple[Subject, Belonging]:
    """The subject of (organization, store, immutable id), given its random `sub` at first sight.

    With it comes what its store has told before.

    Safe under concurrency: the first insert wins and every other sees its result. A changed name
    or store name is noted, and so are `checked_at`, when a store confirmed the password, and `known_as`,
    the name for which it did; without that, the person's own.
    """
    row = {
        "id": new_id(),
        "organization_id": organization_id,
        "store_id": store_id,
        "store": store,
        "immutable_id": record.immutable_id,
        "username": record.username,
        "first_seen_at": now,
        "password_checked_at": checked_at,
        "confirmed_at": checked_at,
        "known_as": known_as or record.username,
    }
    seen = run(connection, _SEE, row).one()
    subject = Subject(seen.id, organization_id, store, record.immutable_id, record.username)
    return subject, Belonging(seen.groups, seen.claims)


def told(connection: Connection, organization_id: str, subject_id: str) -> Belonging:
    """What a store told last of a subject there is."""
    row = connection.execute(_TOLD, _here(organization_id, subject_id)).one()
    return Belonging(row.groups, row.claims)


def learn(connection: Connection, organization_id: str, subject_id: str, told: Belonging) -> None:
    """Keep what a store has just told."""
    values = {"groups": told.groups, "claims": told.claims}
    connection.execute(_LEARN, _here(organization_id, subject_id) | values)


def claims(connection: Connection, organization_id: str, subject_id: str) -> Mapping[str, str] | None:
    """What is known of a subject: of PRIMARY as it is now, of other stores as they told last."""
    row = connection.execute(_CLAIMS, _here(organization_id, subject_id)).first()
    if row is None:
        return None
    known: Mapping[str, str] | None = row.claims if row.own is None else row.own
    return known


@dataclass(frozen=True, slots=True)
class Known:
    """The store of a subject, as whom it knows it, and when it last said that it may go on."""

    settings: UserStoreSettings
    user: KnownUser
    confirmed_at: datetime | None


def known(connection: Connection, organization_id: str, subject_id: str) -> Known | None:
    """What an outside store can be asked about that `sub`; None where either is gone."""
    row = connection.execute(select(subjects).where(_is(organization_id, subject_id))).first()
    store = None if row is None else by_id(connection, organization_id, row.store_id)
    if row is None or store is None:
        return None
    user = KnownUser(row.immutable_id, row.known_as or row.username, row.username)
    return Known(store, user, row.confirmed_at)


def confirm(
    connection: Connection, organization_id: str, subject_id: str, username: str, asked_at: datetime
) -> bool:
    """Note that the store said so when asked at that time; False where it has been asked since."""
    here = and_(_is(organization_id, subject_id), ~_is_newer_than(asked_at))
    told = {"username": username, "confirmed_at": asked_at}
    return connection.execute(update(subjects).where(here).values(told)).rowcount == 1


def is_confirmed_since(
    connection: Connection, organization_id: str, subject_id: str, asked_at: datetime
) -> bool:
    """Whether the store has said that this one may go on after that time."""
    here = and_(_is(organization_id, subject_id), _is_newer_than(asked_at))
    return connection.execute(select(subjects.c.id).where(here)).first() is not None


def set_disabled(
    connection: Connection, organization_id: str, subject_id: str, disabled_at: datetime | None
) -> bool:
    """Disable or enable; False where nothing changed."""
    differs = subjects.c.disabled_at.is_(None) if disabled_at else subjects.c.disabled_at.is_not(None)
    changed = connection.execute(
        update(subjects).where(_is(organization_id, subject_id), differs).values(disabled_at=disabled_at)
    )
    return changed.rowcount == 1


def sign_out(connection: Connection, organization_id: str, subject_id: str, now: datetime) -> None:
    """End what began with a login until now."""
    here = _is(organization_id, subject_id)
    connection.execute(update(subjects).where(here).values(signed_out_at=now))


def find(connection: Connection, organization_id: str, subject_id: str) -> Subject | None:
    """The subject of that `sub`."""
    row = connection.execute(select(subjects).where(_is(organization_id, subject_id))).first()
    return None if row is None else subject_of(row)


def standing_row(
    connection: Connection, organization_id: str, subject_id: str
) -> Row[tuple[object, ...]] | None:
    """The subject with `user_exists` and `store_exists`: whether what it stands for is still there.

    `has_moved`: its password is checked here, not at its store. `store_options`, `store_type` and
    `store_settings` are as they are kept.
    """
    return connection.execute(_STANDING, _here(organization_id, subject_id)).first()


def count_of_store(connection: Connection, organization_id: str, store_id: str) -> int:
    """How many people of a store have been seen."""
    here = and_(subjects.c.organization_id == organization_id, subjects.c.store_id == store_id)
    return int(connection.execute(select(func.count()).select_from(subjects).where(here)).scalar_one())


def seen(connection: Connection, organization_id: str, ids: Sequence[str]) -> dict[str, Seen]:
    """When those subjects were seen, by `sub`; who is not known is left out."""
    found: dict[str, Seen] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = subjects.c.id.in_(ids[start : start + _AT_ONCE])
        query = select(subjects).where(subjects.c.organization_id == organization_id, some)
        for row in connection.execute(query):
            found[row.id] = Seen(row.immutable_id, row.first_seen_at, row.password_checked_at)
    return found


def count_not_moved(connection: Connection, organization_id: str, store_id: str) -> int:
    """How many people of a store have no credential kept here and are not disabled."""
    here = and_(subjects.c.organization_id == organization_id, subjects.c.store_id == store_id)
    query = select(func.count()).select_from(subjects).where(here, subjects.c.disabled_at.is_(None), ~_MOVED)
    return int(connection.execute(query).scalar_one())


def ids_at_store(connection: Connection, organization_id: str, store_id: str, at_most: int) -> Sequence[str]:
    """The `sub` of up to `at_most` people seen in a store whose passwords are checked there."""
    here = and_(subjects.c.organization_id == organization_id, subjects.c.store_id == store_id)
    return connection.execute(select(subjects.c.id).where(here, ~_MOVED).limit(at_most)).scalars().all()


def id_of(connection: Connection, organization_id: str, store_id: str, immutable_id: str) -> str | None:
    """The `sub` of that person of a store."""
    here = and_(
        subjects.c.organization_id == organization_id,
        subjects.c.store_id == store_id,
        subjects.c.immutable_id == immutable_id,
    )
    return connection.execute(select(subjects.c.id).where(here)).scalar()


def id_of_name(connection: Connection, organization_id: str, name: str) -> str | None:
    """The `sub` of whoever was last seen as `[STORE/]name`; PRIMARY first, None where it may be several."""
    store, slash, username = name.rpartition("/")
    names = select(user_stores.c.name).where(user_stores.c.organization_id == organization_id)
    stores = [store] if slash else [PRIMARY, *connection.execute(names).scalars()]  # the index begins with it
    here = and_(
        subjects.c.organization_id == organization_id,
        subjects.c.store.in_(stores),
        subjects.c.username == username,
    )
    found = connection.execute(select(subjects.c.id, subjects.c.store).where(here)).all()
    primary = [row.id for row in found if row.store == PRIMARY]
    return primary[0] if primary else found[0].id if len(found) == 1 else None


def bearer(connection: Connection, organization_id: str, store: str, username: str) -> str | None:
    """The `sub` of whoever a store knows by that name or accepted under it last; None where it is several."""
    here = {"organization_id": organization_id, "store": store, "name": username}
    found = connection.execute(_TWO_BEARERS, here).scalars().all()
    return found[0] if len(found) == 1 else None


def bearers(connection: Connection, organization_id: str, store: str, username: str) -> Sequence[str]:
    """Everybody whom a store knows by that name or accepted under it last."""
    here = {"organization_id": organization_id, "store": store, "name": username}
    return connection.execute(_BEARERS, here).scalars().all()


def names(connection: Connection, organization_id: str, subject_id: str) -> tuple[str, frozenset[str]] | None:
    """The store of a subject, and the names it has there."""
    row = connection.execute(select(subjects).where(_is(organization_id, subject_id))).first()
    return None if row is None else (row.store, frozenset({row.username, row.known_as or row.username}))


def subject_of(row: Row[tuple[object, ...]]) -> Subject:
    """The subject in a row of its table."""
    return Subject(row.id, row.organization_id, row.store, row.immutable_id, row.username)


def _here(organization_id: str, subject_id: str) -> dict[str, str]:
    return {"key_organization_id": organization_id, "key_id": subject_id}


def _is_newer_than(asked_at: datetime) -> ColumnElement[bool]:
    return func.coalesce(subjects.c.confirmed_at > asked_at, false())


def _is(organization_id: str, subject_id: str) -> ColumnElement[bool]:
    return and_(subjects.c.organization_id == organization_id, subjects.c.id == subject_id)
