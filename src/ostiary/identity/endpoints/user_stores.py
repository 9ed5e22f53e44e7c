"""The internal REST API of user stores: /api/identity/v1/user-stores. No secret is ever given out."""

from typing import Annotated, cast

from fastapi import Body
from pydantic import ConfigDict, Field, StrictInt, with_config
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.secrets import SecretBox
from ostiary.identity.endpoints.problems import Taken, problems
from ostiary.identity.errors import UnknownUserStore
from ostiary.identity.migration import migration_of
from ostiary.identity.model import StoreOptions, UserStoreSettings, UserStoreSpec
from ostiary.identity.powers import check_power_over_store
from ostiary.identity.user_stores.configuration import (
    AskingClients,
    delete_user_store,
    find_user_store,
    forget_credential,
    list_user_stores,
    put_user_store,
    read_settings,
)
from ostiary.identity.user_stores.type_settings import shown
from ostiary.permissions import GuardedRouter, needs, organization, principal

PREFIX = "/api/identity/v1/user-stores"
_PERMISSION = "/permission/admin/manage/identity/userstore/config"
_SCOPE = "internal_userstore"


class UserStoreBody(StoreOptions):
    """A user store as an administrator describes it, with the keys of an organization file.

    Those of its type stand beside these. A secret that is not given stays, unless the address changes.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    position: Annotated[StrictInt, Field(ge=-1_000_000, le=1_000_000)] | None = None

    def spec(self, organization_id: str, name: str) -> UserStoreSpec:
        """As the use case takes it.

        Raises:
            InvalidUserStore: names the field and what was expected of it.
        """
        given = {key: value for key, value in (self.model_extra or {}).items() if value is not None}
        return UserStoreSpec(
            organization_id=organization_id,
            name=name,
            type=self.type,
            settings=read_settings(self.type, given),
            options=StoreOptions(**{key: getattr(self, key) for key in StoreOptions.model_fields}),
            position=self.position,
        )


class NewUserStoreBody(UserStoreBody):
    """A new user store."""

    name: str


@with_config(ConfigDict(extra="allow"))
class UserStoreDocument(TypedDict):
    """A user store; the settings of its type stand beside these. Of each secret, whether it is set."""

    name: str
    type: str
    position: int
    timeout_ms: int
    concurrency: int
    accepts: str | None
    case_sensitive: bool
    enabled: bool
    description: str | None
    ask_again_after_seconds: int
    reauthenticate_after_seconds: int | None
    migrate_until: str | None


class UserStoresDocument(TypedDict):
    """The stores in the order they are asked after PRIMARY."""

    user_stores: list[UserStoreDocument]


class MigrationDocument(TypedDict):
    """How far moving away from a store is."""

    migrate_until: str | None
    days_left: int | None
    seen: int
    kept: int
    not_moved: int
    last_kept_at: str | None


def router(
    database: Database, box: SecretBox, policy: OutboundPolicy, clock: Clock, asking: AskingClients
) -> GuardedRouter:
    """List, read, create, change and delete user stores of the URL's organization."""
    guarded = GuardedRouter(PREFIX, tags=["User stores"])
    _reading(guarded, database)
    _migration(guarded, database, clock)
    _writing(guarded, database, box, policy)
    _deleting(guarded, database, asking)
    return guarded


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=needs(f"{_PERMISSION}/view", f"{_SCOPE}_view"))
    async def list_all(request: Request) -> UserStoresDocument:
        """The organization's stores in the order they are asked after PRIMARY."""
        here = organization(request).id
        found = await database.read(lambda connection: list_user_stores(connection, here))
        return {"user_stores": [_present(store) for store in found]}

    @guarded.get("/{name}", access=needs(f"{_PERMISSION}/view", f"{_SCOPE}_view"))
    async def read_one(request: Request, name: str) -> UserStoreDocument:
        """One store."""
        here = organization(request).id
        with problems():
            return _present(await database.read(lambda connection: _known(connection, here, name)))


def _migration(guarded: GuardedRouter, database: Database, clock: Clock) -> None:
    @guarded.get("/{name}/migration", access=needs(f"{_PERMISSION}/view", f"{_SCOPE}_view"))
    async def read_migration(request: Request, name: str) -> MigrationDocument:
        """How far moving away from a store is: people seen, those whose password is kept here, days left."""
        here = organization(request).id
        with problems():
            found = await database.read(lambda c: migration_of(c, _known(c, here, name), clock()))
        return {
            "migrate_until": None if found.until is None else found.until.isoformat(),
            "days_left": found.days_left,
            "seen": found.seen,
            "kept": found.moved,
            "not_moved": found.not_moved,
            "last_kept_at": None if found.last_moved_at is None else found.last_moved_at.isoformat(),
        }

    @guarded.delete("/{name}/migration/{username}", access=needs(f"{_PERMISSION}/update", f"{_SCOPE}_update"))
    async def forget(request: Request, name: str, username: str) -> NoContent:
        """Forget the kept password of a person and refuse their tokens; the old store is asked again."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            check_power_over_store(connection, caller, here, name)
            forget_credential(connection, here, name, username)

        with problems():
            await database.write(unit)
        return NoContent()


def _writing(guarded: GuardedRouter, database: Database, box: SecretBox, policy: OutboundPolicy) -> None:
    @guarded.post("", access=needs(f"{_PERMISSION}/create", f"{_SCOPE}_create"), refuses=(409,))
    async def create(
        request: Request, body: Annotated[NewUserStoreBody, Body()]
    ) -> Created[UserStoreDocument]:
        """Connect a user store; it is asked after those there are."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> UserStoreSettings:
            if find_user_store(connection, here, body.name) is not None:
                raise Taken("name: one that no user store of the organization has")
            check_power_over_store(connection, caller, here, body.name)
            put_user_store(connection, spec, box, policy)
            return _known(connection, here, body.name)

        with problems():
            spec = body.spec(here, body.name)
            return Created(_present(await database.write(unit)))

    @guarded.put("/{name}", access=needs(f"{_PERMISSION}/update", f"{_SCOPE}_update"))
    async def replace(
        request: Request, name: str, body: Annotated[UserStoreBody, Body()]
    ) -> UserStoreDocument:
        """Change a store. Another address or user name needs its password again."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> UserStoreSettings:
            check_power_over_store(connection, caller, here, _known(connection, here, name).name)
            put_user_store(connection, spec, box, policy)
            return _known(connection, here, name)

        with problems():
            spec = body.spec(here, name)
            return _present(await database.write(unit))


def _deleting(guarded: GuardedRouter, database: Database, asking: AskingClients) -> None:
    @guarded.delete("/{name}", access=needs(f"{_PERMISSION}/delete", f"{_SCOPE}_delete"), refuses=(409,))
    async def delete(request: Request, name: str) -> NoContent:
        """Disconnect a store. Tokens of its users are refused within a second."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            check_power_over_store(connection, caller, here, name)
            delete_user_store(connection, here, name, asking)

        with problems():
            await database.write(unit)
        return NoContent()


def _known(connection: Connection, here: str, name: str) -> UserStoreSettings:
    found = find_user_store(connection, here, name)
    if found is None:
        raise UnknownUserStore(name)
    return found


def _present(store: UserStoreSettings) -> UserStoreDocument:
    own = {"name": store.name, "type": store.type, "position": store.position}
    settings = shown(read_settings(store.type, store.settings), store.sealed)
    return cast(UserStoreDocument, own | store.options.model_dump(mode="json") | settings)
