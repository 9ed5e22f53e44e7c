"""The internal REST API of organizations: /api/server/v1/tenants, for the administrators of the installation.

In the form of WSO2 Identity Server, where an organization is a *tenant* and its name a *domain*; what ours
are besides is said in members of our own. To make one takes the permission to modify tenants, not, as there,
the one to list them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation import audit
from ostiary.foundation.answers import Created, Empty, NoContent
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.problem import Problem
from ostiary.identity.endpoints.paging import Limit, Offset
from ostiary.identity.endpoints.problems import Taken, problems
from ostiary.identity.founding import add_administrator, add_organization, put_organization
from ostiary.identity.model import ONE_LINE, UserSpec
from ostiary.identity.passwords import PasswordHasher
from ostiary.organizations import (
    ChainPolicy,
    DefaultStays,
    Feature,
    InvalidOrganizationName,
    Organization,
    by_id,
    count,
    find,
    is_taken,
    page,
    parse_name,
    remove,
)
from ostiary.permissions import GuardedRouter, needs, organization

PREFIX = "/api/server/v1/tenants"
_PROTECTED = "/permission/protected/manage"
_LIST = needs(f"{_PROTECTED}/monitor/tenants/list", "internal_list_tenants")
_MODIFY = needs(f"{_PROTECTED}/modify/tenants", "internal_modify_tenants")
_TAKEN = "domain: one that no organization has"
_DisplayName = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]


class OwnerBody(BaseModel):
    """The first administrator of a new organization, a user of PRIMARY."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str
    password: SecretStr
    email: str | None = None
    firstname: str | None = None
    lastname: str | None = None
    provisioningMethod: Literal["inline-password"] = "inline-password"

    def claims(self) -> dict[str, str]:
        """As users have them (OIDC Core §5.1)."""
        said = {"email": self.email, "given_name": self.firstname, "family_name": self.lastname}
        return {name: value for name, value in said.items() if value is not None}


class TenantBody(BaseModel):
    """What an organization says of itself; all of it is replaced. Its name stands in for `displayName`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    displayName: _DisplayName | None = None
    features: list[Feature] = Field(default_factory=list)
    chain: ChainPolicy = ChainPolicy.FIRST_KNOWN

    def of(self, identifier: str, name: str) -> Organization:
        """The organization that says this."""
        return Organization(identifier, name, self.displayName or name, frozenset(self.features), self.chain)


class NewTenantBody(TenantBody):
    """A new organization."""

    domain: str
    owners: Annotated[list[OwnerBody], Field(max_length=1)] = Field(default_factory=list)

    def founded(self) -> Organization:
        """The organization, with an identifier of its own.

        Raises:
            Problem: 400, no organization can have that name.
        """
        try:
            return self.of(new_id(), parse_name(self.domain))
        except InvalidOrganizationName as error:
            raise Problem(400, "400", "Bad Request", f"domain: {error}") from error


class TenantDocument(TypedDict):
    """An organization."""

    id: str
    domain: str
    displayName: str
    features: list[str]
    chain: ChainPolicy


class TenantsDocument(TypedDict):
    """Organizations by name; `startIndex` counts from one."""

    totalResults: int
    startIndex: int
    count: int
    tenants: list[TenantDocument]


def router(database: Database, hasher: PasswordHasher, clock: Clock) -> GuardedRouter:
    """List, read, make, change and remove organizations; below no organization's URL."""
    guarded = GuardedRouter(PREFIX, tags=["Tenants (WSO2)"], per_organization=False)
    _reading(guarded, database)
    _founding(guarded, database, hasher, clock)
    _changing(guarded, database)
    _removing(guarded, database, clock)
    return guarded


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=_LIST)
    async def list_all(request: Request, limit: Limit = 100, offset: Offset = 0) -> TenantsDocument:
        """Organizations by name, from the first after `offset`."""
        total, found = await database.read(lambda c: (count(c), page(c, offset, limit)))
        return {
            "totalResults": total,
            "startIndex": offset + 1,
            "count": len(found),
            "tenants": [_present(one) for one in found],
        }

    @guarded.get("/domain/{name}", access=_LIST)
    async def read_named(request: Request, name: str) -> TenantDocument:
        """The organization of that name."""
        return _present(_known(await database.read(lambda connection: find(connection, name))))

    @guarded.route("/domain/{name}", methods=["HEAD"], access=_LIST)
    async def tell_taken(request: Request, name: str) -> Empty:
        """Whether the name is taken, also by one that is being removed: 200, or 404 where it is free."""
        if not await database.read(lambda connection: is_taken(connection, name)):
            raise _unknown()
        return Empty()

    @guarded.get("/{tenant_id}", access=_LIST)
    async def read_one(request: Request, tenant_id: str) -> TenantDocument:
        """One organization."""
        return _present(_known(await database.read(lambda connection: by_id(connection, tenant_id))))


def _founding(guarded: GuardedRouter, database: Database, hasher: PasswordHasher, clock: Clock) -> None:
    @guarded.post("", access=_MODIFY, refuses=(409,))
    async def create(request: Request, body: Annotated[NewTenantBody, Body()]) -> Created[TenantDocument]:
        """Make an organization with the roles that each begins with and, if said, a first administrator."""
        here, new = organization(request).id, body.founded()

        with problems():
            hashed = [(owner, await hasher.hash(owner.password)) for owner in body.owners]

            def unit(connection: Connection) -> None:
                if not add_organization(connection, new):
                    raise Taken(_TAKEN)
                for owner, password_hash in hashed:
                    spec = UserSpec(new.id, owner.username, password_hash, owner.claims())
                    add_administrator(connection, new, spec, clock)
                audit.note(connection, here, "organization", new.name, None, new)

            await database.write(unit)
        return Created(_present(new), {"Location": f"{PREFIX}/{new.id}"})


def _changing(guarded: GuardedRouter, database: Database) -> None:
    @guarded.put("/{tenant_id}", access=_MODIFY)
    async def replace(
        request: Request, tenant_id: str, body: Annotated[TenantBody, Body()]
    ) -> TenantDocument:
        """Change what an organization says of itself. Its name stays."""
        here = organization(request).id

        def unit(connection: Connection) -> Organization:
            known = _known(by_id(connection, tenant_id))
            changed = body.of(known.id, known.name)
            put_organization(connection, changed)
            if changed != known and known.id != here:  # its own log has it already
                audit.note(connection, here, "organization", known.name, known, changed)
            return changed

        return _present(await database.write(unit))


def _removing(guarded: GuardedRouter, database: Database, clock: Clock) -> None:
    @guarded.delete("/{tenant_id}", access=_MODIFY, refuses=(409,))
    async def delete(request: Request, tenant_id: str) -> NoContent:
        """Remove an organization: everything of it ends within a second, and is deleted after that.

        `HEAD /domain/{name}` says when the name is free again.
        """
        here = organization(request).id

        def unit(connection: Connection) -> None:
            removed = _known(remove(connection, tenant_id, clock()))
            audit.note(connection, here, "organization", removed.name, removed, None)

        try:
            await database.write(unit)
        except DefaultStays as error:
            text = "the organization default runs the installation: it cannot be removed"
            raise Problem(409, "409", "Conflict", text) from error
        return NoContent()


def _known(found: Organization | None) -> Organization:
    if found is None:
        raise _unknown()
    return found


def _unknown() -> Problem:
    return Problem(404, "404", "Not Found", "there is no such organization")


def _present(one: Organization) -> TenantDocument:
    return {
        "id": one.id,
        "domain": one.name,
        "displayName": one.display_name,
        "features": sorted(one.features),
        "chain": one.chain,
    }
