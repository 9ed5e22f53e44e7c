"""The internal REST API of scopes: /api/oauth/v1/scopes."""

from typing import Annotated

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import NoContent
from ostiary.foundation.problem import Problem
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.endpoints.problems import problems
from ostiary.oauth.errors import UnknownScope
from ostiary.oauth.model import ScopeSpec
from ostiary.oauth.scopes import delete_scope, list_scopes, put_scope
from ostiary.permissions import GuardedRouter, needs, organization

PREFIX = "/api/oauth/v1/scopes"
_PERMISSION = "/permission/admin/manage/identity/oauthscopemgt"


class ScopeBody(BaseModel):
    """A scope and who may have it: some roles, or `everyone`. Neither means nobody."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    display_name: str = ""
    description: str = ""
    roles: Annotated[list[str], Field(max_length=1_000)] = Field(default_factory=list)
    everyone: StrictBool = False


class ScopeDocument(TypedDict):
    """A scope and who may have it."""

    name: str
    display_name: str
    description: str
    roles: list[str]
    everyone: bool


class ScopesDocument(TypedDict):
    """Every scope, by name."""

    scopes: list[ScopeDocument]


def router(server: AuthorizationServer) -> GuardedRouter:
    """List, put and delete scopes of the URL's organization. Names may hold slashes."""
    guarded = GuardedRouter(PREFIX, tags=["Scopes"])

    @guarded.get("", access=needs(f"{_PERMISSION}/view", "internal_oauth_scope_mgt_view"))
    async def list_all(request: Request) -> ScopesDocument:
        """Every registered scope of the organization, by name."""
        here = organization(request).id
        found = await server.database.read(lambda connection: list_scopes(connection, here))
        return {"scopes": [_present(scope) for scope in found]}

    @guarded.put("/{name:path}", access=needs(f"{_PERMISSION}/update", "internal_oauth_scope_mgt_update"))
    async def put(request: Request, name: str, body: Annotated[ScopeBody, Body()]) -> ScopeDocument:
        """Register a scope, or change who may have it."""
        here = organization(request).id
        spec = ScopeSpec(name, body.description, frozenset(body.roles), body.everyone, body.display_name)
        with problems():
            await server.database.write(lambda connection: put_scope(connection, here, spec))
        return _present(spec)

    @guarded.delete("/{name:path}", access=needs(f"{_PERMISSION}/delete", "internal_oauth_scope_mgt_delete"))
    async def delete(request: Request, name: str) -> NoContent:
        """Remove a scope. Tokens that carry it are refused within a second."""
        here = organization(request).id
        try:
            await server.database.write(lambda connection: delete_scope(connection, here, name))
        except UnknownScope as error:
            raise Problem(404, "404", "Not Found", "the organization has no such scope") from error
        return NoContent()

    return guarded


def _present(scope: ScopeSpec) -> ScopeDocument:
    return {
        "name": scope.name,
        "display_name": scope.display_name,
        "description": scope.description,
        "roles": sorted(scope.roles),
        "everyone": scope.everyone,
    }
