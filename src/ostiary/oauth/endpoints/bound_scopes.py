"""The internal REST API of scopes in the form of WSO2 Identity Server: /api/identity/oauth2/v1.0/scopes.

Roles are *bindings* there. Two things are ours: a scope that nothing is bound to is nobody's, so a document
says `everyone` where it is everybody's; and internal scopes are listed with the permissions they are bound
to, but are the installation's and change for nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Annotated, Literal

from fastapi import Body, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Created, Empty, NoContent
from ostiary.foundation.problem import Problem
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.errors import BadField, UnknownScope
from ostiary.oauth.model import INTERNAL_PREFIX, ScopeSpec, is_reserved
from ostiary.oauth.scopes import add_scope, delete_scope, find_scope, list_scopes, put_scope
from ostiary.permissions import BINDINGS, LOGIN, Access, GuardedRouter, is_internal, needs, organization

PREFIX = "/api/identity/oauth2/v1.0/scopes"
_PERMISSION = "/permission/admin/manage/identity/applicationmgt"
_From = Annotated[int, Query(ge=0, le=1_000_000)]
_Count = Annotated[int, Query(ge=0, le=1_000)]
_Roles = Annotated[list[str], Field(max_length=1_000)]


class Refusal(Enum):
    """Status, code and message of each refusal, as WSO2 numbers them."""

    NAME_MISSING = (400, "41001", "The scope has no name.")
    DISPLAY_NAME_MISSING = (400, "41002", "The scope has no display name.")
    UNKNOWN = (404, "41003", "There is no such scope.")
    TAKEN = (409, "41004", "There is such a scope already.")
    WHITESPACE = (400, "41006", "The name of a scope has no blanks.")
    INVALID = (400, "41007", "Invalid request.")
    INTERNAL_ADDED = (403, "41008", "Internal scopes cannot be added.")
    INTERNAL_CHANGED = (403, "41009", "Internal scopes cannot be changed.")
    INTERNAL_DELETED = (403, "41010", "Internal scopes cannot be deleted.")
    NAME_INVALID = (400, "41011", "The name of the scope cannot be one.")
    RESERVED = (403, "41012", "The scope is the system's.")
    NAME_TOO_LONG = (400, "41013", "The name of the scope is too long.")
    DISPLAY_NAME_TOO_LONG = (400, "41014", "The display name of the scope is too long.")
    DESCRIPTION_TOO_LONG = (400, "41015", "The description of the scope is too long.")

    def because(self, description: str) -> Problem:
        """The refusal with what was expected."""
        status, code, message = self.value
        return Problem(status, code, message, description)


class BindingBody(BaseModel):
    """What a scope is bound to: roles (`DEFAULT`) in every scope that can be changed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    bindingType: Literal["DEFAULT"]
    binding: _Roles


class BoundScopeBody(BaseModel):
    """A scope with its roles, as `bindings` or as `scopeBindings`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    displayName: str | None = None
    description: str = ""
    bindings: _Roles | None = None
    scopeBindings: Annotated[list[BindingBody], Field(max_length=10)] | None = None
    everyone: StrictBool = False

    def spec(self, name: str) -> ScopeSpec:
        """The scope that this describes.

        Raises:
            Problem: it cannot be one.
        """
        display_name = self.displayName or ""
        for is_wrong, refusal, expected in _rules(name, display_name, self.description):
            if is_wrong:
                raise refusal.because(expected)
        roles = {*(self.bindings or ()), *(role for one in self.scopeBindings or () for role in one.binding)}
        shown = "" if display_name == name else display_name
        return ScopeSpec(name, self.description, frozenset(roles), self.everyone, shown)


class NewBoundScopeBody(BoundScopeBody):
    """A new scope."""

    name: str = ""


class BindingDocument(TypedDict):
    """What a scope is bound to: roles (`DEFAULT`), or the permissions that an internal scope stands for."""

    bindingType: Literal["DEFAULT", "PERMISSIONS"]
    binding: list[str]


class BoundScopeDocument(TypedDict):
    """A scope with what it is bound to, said in both ways."""

    name: str
    displayName: str
    description: str
    bindings: list[str]
    scopeBindings: list[BindingDocument]
    everyone: bool


def router(server: AuthorizationServer) -> GuardedRouter:
    """List, find, add, change and delete scopes of the URL's organization."""
    guarded = GuardedRouter(PREFIX, tags=["Scopes (WSO2)"])
    _reading(guarded, server)
    _writing(guarded, server)
    return guarded


def _access(verb: str) -> Access:
    return needs(f"{_PERMISSION}/{verb}", f"internal_application_mgt_{verb}")


def _reading(guarded: GuardedRouter, server: AuthorizationServer) -> None:
    async def found(request: Request, name: str) -> BoundScopeDocument:
        here = organization(request).id
        if is_internal(name):
            return _internal(name)
        with _refusals():
            return _present(await server.database.read(lambda connection: find_scope(connection, here, name)))

    @guarded.get("", access=_access("view"))
    async def list_all(
        request: Request, startIndex: _From = 1, count: _Count = 1_000
    ) -> list[BoundScopeDocument]:
        """Every scope by name, internal ones too, `count` of them from the `startIndex`-th."""
        here = organization(request).id
        registered = await server.database.read(lambda connection: list_scopes(connection, here))
        documents = [*map(_present, registered), *map(_internal, (LOGIN, *BINDINGS))]
        first = max(0, startIndex - 1)
        return sorted(documents, key=lambda one: str(one["name"]))[first : first + count]

    @guarded.get("/name/{name:path}", access=_access("view"))
    async def read_one(request: Request, name: str) -> BoundScopeDocument:
        """One scope."""
        return await found(request, name)

    @guarded.route("/name/{name:path}", methods=["HEAD"], access=_access("view"))
    async def is_there(request: Request, name: str) -> Empty:
        """Whether there is such a scope: 200 or 404."""
        await found(request, name)
        return Empty()


def _writing(guarded: GuardedRouter, server: AuthorizationServer) -> None:
    @guarded.post("", access=_access("create"), refuses=(409,))
    async def add(
        request: Request, body: Annotated[NewBoundScopeBody, Body()]
    ) -> Created[BoundScopeDocument]:
        """Register a scope."""
        _check_changeable(body.name, Refusal.INTERNAL_ADDED)
        here, spec = organization(request).id, body.spec(body.name)
        with _refusals():
            if not await server.database.write(lambda connection: add_scope(connection, here, spec)):
                raise Refusal.TAKEN.because("name: one that no scope of the organization has")
        path = request.url.path
        return Created(_present(spec), {"Location": f"{path}/name/{spec.name}"})

    @guarded.put("/name/{name:path}", access=_access("update"))
    async def replace_one(
        request: Request, name: str, body: Annotated[BoundScopeBody, Body()]
    ) -> BoundScopeDocument:
        """Change a scope. Who may not have it any more loses the tokens that carry it."""
        _check_changeable(name, Refusal.INTERNAL_CHANGED)
        here, spec = organization(request).id, body.spec(name)

        def unit(connection: Connection) -> None:
            find_scope(connection, here, name)
            put_scope(connection, here, spec)

        with _refusals():
            await server.database.write(unit)
        return _present(spec)

    @guarded.delete("/name/{name:path}", access=_access("delete"))
    async def delete(request: Request, name: str) -> NoContent:
        """Remove a scope. Tokens that carry it are refused within a second."""
        _check_changeable(name, Refusal.INTERNAL_DELETED)
        here = organization(request).id
        with _refusals():
            await server.database.write(lambda connection: delete_scope(connection, here, name))
        return NoContent()


def _check_changeable(name: str, refusal: Refusal) -> None:
    if is_reserved(name):
        chosen = refusal if name.startswith(INTERNAL_PREFIX) else Refusal.RESERVED
        raise chosen.because("name: not default, SYSTEM, openid or internal_…, which are reserved")


def _rules(name: str, display_name: str, description: str) -> Iterator[tuple[bool, Refusal, str]]:
    """What WSO2 has a number for; the first that is broken is told."""
    has_blanks = any(map(str.isspace, name))
    yield not name, Refusal.NAME_MISSING, "name: one"
    yield not display_name.strip(), Refusal.DISPLAY_NAME_MISSING, "displayName: one"
    yield has_blanks, Refusal.WHITESPACE, "name: one without blanks"
    yield len(name) > 200, Refusal.NAME_TOO_LONG, "name: at most 200 characters"
    yield len(display_name) > 255, Refusal.DISPLAY_NAME_TOO_LONG, "displayName: at most 255 characters"
    yield len(description) > 1_000, Refusal.DESCRIPTION_TOO_LONG, "description: at most 1000 characters"


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn a refusal of a use case into its answer."""
    try:
        yield
    except UnknownScope as error:
        raise Refusal.UNKNOWN.because("the organization has no such scope") from error
    except BadField as error:
        refusal = Refusal.NAME_INVALID if error.field == "name" else Refusal.INVALID
        raise refusal.because(f"{error.field}: {error.expected}") from error


def _present(scope: ScopeSpec) -> BoundScopeDocument:
    roles = sorted(scope.roles)
    return {
        "name": scope.name,
        "displayName": scope.display_name or scope.name,
        "description": scope.description,
        "bindings": roles,
        "scopeBindings": [{"bindingType": "DEFAULT", "binding": roles}] if roles else [],
        "everyone": scope.everyone,
    }


def _internal(name: str) -> BoundScopeDocument:
    permissions = sorted(BINDINGS.get(name, ()))
    shown = _present(ScopeSpec(name))
    shown["bindings"] = permissions
    shown["scopeBindings"] = [{"bindingType": "PERMISSIONS", "binding": permissions}]
    return shown
