"""The internal REST API of PRIMARY users: /api/identity/v1/users."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import Body, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictBool
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.identity.endpoints.problems import Taken, problems
from ostiary.identity.errors import UnknownUser
from ostiary.identity.importing import MOST_AT_ONCE, Imported, ImportedUser, import_users, units_of
from ostiary.identity.model import User, UserSpec
from ostiary.identity.passwords import PasswordHasher
from ostiary.identity.powers import check_new_user, check_power_over
from ostiary.identity.users import (
    add_user,
    canonical_username,
    delete_user,
    disable_user,
    enable_user,
    find_user,
    list_users,
    put_user,
)
from ostiary.permissions import GuardedRouter, needs, organization, principal

PREFIX = "/api/identity/v1/users"
_PERMISSION = "/permission/admin/manage/identity/usermgt"
_SCOPE = "internal_user_mgt"
_TAKEN = "username: one that no user of the organization has"


class UserBody(BaseModel):
    """A user as an administrator describes it; without `password` a known user keeps its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    password: SecretStr | None = None
    claims: dict[str, str] = Field(default_factory=dict)
    disabled: StrictBool = False


class NewUserBody(UserBody):
    """A new user."""

    username: str


class ImportedBody(BaseModel):
    """A user of an import."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: Annotated[str, Field(max_length=512)]
    hash: SecretStr
    claims: dict[str, str] = Field(default_factory=dict)
    disabled: StrictBool = False


class ImportBody(BaseModel):
    """Some users of an import; `dry_run` changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: Annotated[list[ImportedBody], Field(min_length=1, max_length=MOST_AT_ONCE)]
    dry_run: StrictBool = False


class UserDocument(TypedDict):
    """A user of PRIMARY."""

    username: str
    subject: str
    claims: dict[str, str]
    disabled: bool
    created_at: str
    updated_at: str


class UsersDocument(TypedDict):
    """Users in the order of their names."""

    users: list[UserDocument]


class ImportDocument(TypedDict):
    """What became of each user of an import, in its order."""

    users: list[Imported]


def router(database: Database, hasher: PasswordHasher, clock: Clock) -> GuardedRouter:
    """List, read, create, change and delete users of the URL's organization."""
    guarded = GuardedRouter(PREFIX, tags=["Users"])
    _reading(guarded, database)
    _writing(guarded, database, hasher, clock)
    _importing(guarded, database, clock)
    return guarded


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=needs(f"{_PERMISSION}/list", f"{_SCOPE}_list"))
    async def list_all(
        request: Request,
        after: Annotated[str, Query(max_length=255, pattern=r"^[^\x00]*$")] = "",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> UsersDocument:
        """Users in the order of their names; `after` is the last name of the page before."""
        here = organization(request).id
        found = await database.read(lambda connection: list_users(connection, here, after, limit))
        return {"users": [_present(user) for user in found]}

    @guarded.get("/{username}", access=needs(f"{_PERMISSION}/view", f"{_SCOPE}_view"))
    async def read_one(request: Request, username: str) -> UserDocument:
        """One user."""
        here = organization(request).id
        with problems():
            return _present(await database.read(lambda connection: _known(connection, here, username)))


def _writing(guarded: GuardedRouter, database: Database, hasher: PasswordHasher, clock: Clock) -> None:
    @guarded.post("", access=needs(f"{_PERMISSION}/create", f"{_SCOPE}_create"), refuses=(409,))
    async def create(request: Request, body: Annotated[NewUserBody, Body()]) -> Created[UserDocument]:
        """Create a user."""
        here, caller = organization(request).id, principal(request)
        with problems():
            spec = await _spec(here, body.username, body, hasher)

            def unit(connection: Connection) -> User:
                if find_user(connection, here, body.username) is not None:
                    raise Taken(_TAKEN)
                check_new_user(connection, caller, here, canonical_username(connection, here, body.username))
                if not add_user(connection, spec, clock):  # somebody else has just made it
                    raise Taken(_TAKEN)
                if body.disabled:
                    disable_user(connection, here, body.username, clock)
                return _known(connection, here, body.username)

            return Created(_present(await database.write(unit)))

    @guarded.put("/{username}", access=needs(f"{_PERMISSION}/update", f"{_SCOPE}_update"))
    async def replace(request: Request, username: str, body: Annotated[UserBody, Body()]) -> UserDocument:
        """Change a user. A new password or disabling ends its tokens within a second."""
        here, caller = organization(request).id, principal(request)
        with problems():
            spec = await _spec(here, username, body, hasher)

            def unit(connection: Connection) -> User:
                check_power_over(connection, caller, here, _known(connection, here, username).subject_id)
                return _put(connection, spec, body, clock)

            return _present(await database.write(unit))

    @guarded.delete("/{username}", access=needs(f"{_PERMISSION}/delete", f"{_SCOPE}_delete"))
    async def delete(request: Request, username: str) -> NoContent:
        """Delete a user. Its tokens are refused within a second."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            check_power_over(connection, caller, here, _known(connection, here, username).subject_id)
            delete_user(connection, here, username)

        with problems():
            await database.write(unit)
        return NoContent()


def _importing(guarded: GuardedRouter, database: Database, clock: Clock) -> None:
    @guarded.post("/import", access=needs(f"{_PERMISSION}/create", f"{_SCOPE}_create"))
    async def import_some(request: Request, body: Annotated[ImportBody, Body()]) -> ImportDocument:
        """Make users with hashes that others made. Those that are there already stay as they are."""
        here, caller = organization(request).id, principal(request)
        users = [
            ImportedUser(one.username, one.hash.get_secret_value(), one.claims, one.disabled)
            for one in body.users
        ]

        def unit(connection: Connection, some: Sequence[ImportedUser]) -> list[Imported]:
            def may_make(username: str) -> None:
                check_new_user(connection, caller, here, username)

            return import_users(connection, here, some, clock, may_make, is_dry_run=body.dry_run)

        done: list[Imported] = []
        for some in units_of(users):
            done += await database.write(partial(unit, some=some))
        return {"users": done}


async def _spec(here: str, username: str, body: UserBody, hasher: PasswordHasher) -> UserSpec:
    password_hash = None if body.password is None else await hasher.hash(body.password)
    return UserSpec(here, username, password_hash, body.claims)


def _put(connection: Connection, spec: UserSpec, body: UserBody, clock: Clock) -> User:
    put_user(connection, spec, clock)
    if body.disabled:
        disable_user(connection, spec.organization_id, spec.username, clock)
    else:
        enable_user(connection, spec.organization_id, spec.username)
    return _known(connection, spec.organization_id, spec.username)


def _known(connection: Connection, here: str, username: str) -> User:
    found = find_user(connection, here, username)
    if found is None:
        raise UnknownUser(username)
    return found


def _present(user: User) -> UserDocument:
    return {
        "username": user.username,
        "subject": user.subject_id,
        "claims": dict(user.claims),
        "disabled": user.disabled,
        "created_at": user.created_at.isoformat(),
        "updated_at": user.updated_at.isoformat(),
    }
