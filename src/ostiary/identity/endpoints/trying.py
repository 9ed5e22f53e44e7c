"""The internal REST API that tries things out: a store's connection, and a login that issues nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Connection
from starlette.requests import Request

from ostiary.foundation.database import Database
from ostiary.identity.authentication import Authentication
from ostiary.identity.endpoints.problems import problems
from ostiary.identity.endpoints.user_stores import PREFIX, NewUserStoreBody
from ostiary.identity.errors import UnknownUserStore
from ostiary.identity.model import UserStoreSettings
from ostiary.identity.rehearsal import rehearse
from ostiary.identity.user_stores.configuration import find_user_store, settings_of
from ostiary.identity.user_stores.steps import Step
from ostiary.identity.user_stores.testing import Tested
from ostiary.permissions import GuardedRouter, needs, organization

_ACCESS = needs("/permission/admin/manage/identity/userstore/config/update", "internal_userstore_update")


class RehearsalBody(BaseModel):
    """Who is to be logged in, without issuing anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str
    password: SecretStr
    user_stores: Annotated[list[str], Field(min_length=1, max_length=1_000)] | None = None
    """Those that a client asks, in its order; without it PRIMARY and the chain."""


def router(database: Database, authentication: Authentication) -> GuardedRouter:
    """Test connections of user stores, and rehearse logins, in the URL's organization."""
    guarded = GuardedRouter("/api/identity/v1", tags=["User stores"])
    _connections(guarded, database, authentication)
    _rehearsals(guarded, database, authentication)
    return guarded


def _connections(guarded: GuardedRouter, database: Database, authentication: Authentication) -> None:
    stores = PREFIX.removeprefix("/api/identity/v1")

    @guarded.post(f"{stores}/test-connection", access=_ACCESS)
    async def test_described(request: Request, body: Annotated[NewUserStoreBody, Body()]) -> dict[str, Any]:
        """Try a store as it is described, saved or not. A secret that is not given is the saved one,
        unless it would go to another address."""
        here = organization(request).id
        with problems():
            spec = body.spec(here, body.name)

            def unit(connection: Connection) -> UserStoreSettings:
                return settings_of(connection, spec, authentication.policy)

            return _tested(await authentication.test(await database.read(unit), spec.settings.secrets()))

    @guarded.post(f"{stores}/{{name}}/test-connection", access=_ACCESS)
    async def test_saved(request: Request, name: str) -> dict[str, Any]:
        """Try a store as it is."""
        here = organization(request).id

        def unit(connection: Connection) -> UserStoreSettings:
            found = find_user_store(connection, here, name)
            if found is None:
                raise UnknownUserStore(name)
            return found

        with problems():
            return _tested(await authentication.test(await database.read(unit)))


def _rehearsals(guarded: GuardedRouter, database: Database, authentication: Authentication) -> None:
    @guarded.post("/rehearsals", access=_ACCESS)
    async def rehearse_login(request: Request, body: Annotated[RehearsalBody, Body()]) -> dict[str, Any]:
        """Do all that a login does, issue nothing, and tell each step. Wrong passwords count."""
        here = organization(request)
        done = await rehearse(database, authentication, here, body.username, body.password, body.user_stores)
        user = done.user and {
            "name": done.user.subject.display(here.name),
            "sub": done.user.subject.id,
            "groups": sorted(done.user.groups),
            "claims": dict(done.user.claims),
            "roles": list(done.roles),
        }
        return {"decision": done.decision, "reason": done.reason, "user": user, "steps": _steps(done.steps)}


def _tested(tested: Tested) -> dict[str, Any]:
    return {
        "connection": tested.problem is None,
        "problem": tested.problem,
        "accepts_anybody": tested.accepts_anybody,
        "steps": _steps(tested.steps),
    }


def _steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    return [{"at_ms": step.at, "what": step.what, "facts": step.facts} for step in steps]
