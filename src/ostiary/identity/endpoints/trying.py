"""The internal REST API that tries things out: a store's connection, and a login that issues nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.database import Database
from ostiary.identity.authentication import Authentication
from ostiary.identity.endpoints.problems import problems
from ostiary.identity.endpoints.user_stores import PREFIX, NewUserStoreBody
from ostiary.identity.errors import UnknownUserStore
from ostiary.identity.model import AuthenticatedUser, UserStoreSettings
from ostiary.identity.rehearsal import Decision, rehearse
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


class StepDocument(TypedDict):
    """One thing that was done, and what an administrator may read of it."""

    at_ms: float
    what: str
    facts: dict[str, object]


class TestedDocument(TypedDict):
    """What came of a test; one that accepts anybody proves nothing."""

    connection: bool
    problem: str | None
    accepts_anybody: bool
    steps: list[StepDocument]


class RehearsedUserDocument(TypedDict):
    """Who would have been logged in."""

    name: str
    sub: str
    groups: list[str]
    claims: dict[str, Any]
    roles: list[str]


class RehearsalDocument(TypedDict):
    """What a login would have come to."""

    decision: Decision
    reason: str
    user: RehearsedUserDocument | None
    steps: list[StepDocument]


def router(database: Database, authentication: Authentication) -> GuardedRouter:
    """Test connections of user stores, and rehearse logins, in the URL's organization."""
    guarded = GuardedRouter("/api/identity/v1", tags=["User stores"])
    _connections(guarded, database, authentication)
    _rehearsals(guarded, database, authentication)
    return guarded


def _connections(guarded: GuardedRouter, database: Database, authentication: Authentication) -> None:
    stores = PREFIX.removeprefix("/api/identity/v1")

    @guarded.post(f"{stores}/test-connection", access=_ACCESS)
    async def test_described(request: Request, body: Annotated[NewUserStoreBody, Body()]) -> TestedDocument:
        """Try a store as it is described, saved or not. A secret that is not given is the saved one,
        unless it would go to another address."""
        here = organization(request).id
        with problems():
            spec = body.spec(here, body.name)

            def unit(connection: Connection) -> UserStoreSettings:
                return settings_of(connection, spec, authentication.policy)

            return _tested(await authentication.test(await database.read(unit), spec.settings.secrets()))

    @guarded.post(f"{stores}/{{name}}/test-connection", access=_ACCESS)
    async def test_saved(request: Request, name: str) -> TestedDocument:
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
    async def rehearse_login(request: Request, body: Annotated[RehearsalBody, Body()]) -> RehearsalDocument:
        """Do all that a login does, issue nothing, and tell each step. Wrong passwords count."""
        here = organization(request)
        done = await rehearse(database, authentication, here, body.username, body.password, body.user_stores)
        user = None if done.user is None else _rehearsed(done.user, done.roles, here.name)
        return {"decision": done.decision, "reason": done.reason, "user": user, "steps": _steps(done.steps)}


def _rehearsed(
    user: AuthenticatedUser, roles: Iterable[str], organization_name: str
) -> RehearsedUserDocument:
    return {
        "name": user.subject.display(organization_name),
        "sub": user.subject.id,
        "groups": sorted(user.groups),
        "claims": dict(user.claims),
        "roles": list(roles),
    }


def _tested(tested: Tested) -> TestedDocument:
    return {
        "connection": tested.problem is None,
        "problem": tested.problem,
        "accepts_anybody": tested.accepts_anybody,
        "steps": _steps(tested.steps),
    }


def _steps(steps: Iterable[Step]) -> list[StepDocument]:
    return [{"at_ms": step.at, "what": step.what, "facts": step.facts} for step in steps]
