"""The REST API of user stores in the shape of WSO2 Identity Server: /api/server/v1/userstores.

The same stores as /api/identity/v1/user-stores, by the same use cases; for tools that speak this form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.secrets import SecretBox
from ostiary.identity.authentication import Authentication
from ostiary.identity.endpoints import user_store_documents as documents
from ostiary.identity.endpoints.problems import Taken, problems
from ostiary.identity.errors import InvalidUserStore, UnknownUserStore
from ostiary.identity.model import UserStoreSettings, UserStoreSpec
from ostiary.identity.powers import check_power_over_store
from ostiary.identity.user_stores.configuration import (
    AskingClients,
    delete_user_store,
    find_user_store,
    list_user_stores,
    put_user_store,
    settings_of,
)
from ostiary.identity.user_stores.directory import USER_STORES
from ostiary.permissions import GuardedRouter, needs, organization, principal

PREFIX = "/api/server/v1/userstores"
_PERMISSION = "/permission/admin/manage/identity/userstore/config"
_SCOPE = "internal_userstore"


class Property(BaseModel):
    """One setting: a dotted name, and its value as text."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    value: Annotated[str, Field(max_length=50_000)]


class Mapping(BaseModel):
    """A claim, and the attribute it is from."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    claimURI: Annotated[str, Field(min_length=1, max_length=200)]
    mappedAttribute: Annotated[str, Field(min_length=1, max_length=200)]


class StoreBody(BaseModel):
    """A user store."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    typeId: str
    name: str
    description: Annotated[str, Field(max_length=200)] = ""
    properties: Annotated[list[Property], Field(max_length=200)]
    claimAttributeMappings: Annotated[list[Mapping], Field(max_length=50)] = []

    def spec(self, organization_id: str) -> UserStoreSpec:
        """As the use case takes it."""
        return documents.spec(
            organization_id,
            documents.named(self.typeId),
            self.name,
            self.description,
            {one.name: one.value for one in self.properties},
            {one.claimURI: one.mappedAttribute for one in self.claimAttributeMappings},
        )


class Change(BaseModel):
    """One change of a store; `path` is `/description` or `/properties/NAME`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    operation: Literal["ADD", "REMOVE", "REPLACE"]
    path: Annotated[str, Field(max_length=300)]
    value: Annotated[str, Field(max_length=50_000)] = ""


class ConnectionDocument(TypedDict):
    """What came of a test; one that accepts anybody is no connection."""

    connection: bool
    problem: str | None
    acceptsAnybody: bool


def router(
    database: Database, box: SecretBox, authentication: Authentication, asking: AskingClients
) -> GuardedRouter:
    """Types, stores and test-connection of the URL's organization."""
    guarded = GuardedRouter(PREFIX, tags=["User stores (WSO2)"])
    _types(guarded)
    _reading(guarded, database)
    _writing(guarded, database, box, authentication)
    _others(guarded, database, authentication, asking)
    return guarded


def _types(guarded: GuardedRouter) -> None:
    view = needs(f"{_PERMISSION}/view", f"{_SCOPE}_view")

    @guarded.get("/meta/types", access=view)
    async def list_types(request: Request) -> list[documents.StoreTypeDocument]:
        """The types of user stores there are."""
        return [documents.store_type(name) for name in USER_STORES]

    @guarded.get("/meta/types/{type_id}", access=view)
    async def read_type(request: Request, type_id: str) -> documents.WholeStoreTypeDocument:
        """One type with its properties: which are needed, which are secrets, their defaults."""
        with problems():
            return documents.type_document(documents.named(type_id))

    @guarded.get("/meta/types/{type_id}/attributes", access=view)
    async def read_attributes(request: Request, type_id: str) -> documents.TypePropertiesDocument:
        """The properties of a type alone."""
        with problems():
            return documents.type_document(documents.named(type_id))["properties"]


def _reading(guarded: GuardedRouter, database: Database) -> None:
    view = needs(f"{_PERMISSION}/view", f"{_SCOPE}_view")

    @guarded.get("", access=view)
    async def list_all(request: Request) -> list[documents.StoreSummaryDocument]:
        """The stores in the order they are asked after PRIMARY."""
        here = organization(request)
        found = await database.read(lambda connection: list_user_stores(connection, here.id))
        return [documents.summary(store, f"/t/{here.name}{PREFIX}") for store in found]

    @guarded.get("/{domain_id}", access=view)
    async def read_one(request: Request, domain_id: str) -> documents.WholeStoreDocument:
        """One store. Secrets are masked."""
        here = organization(request).id
        with problems():
            return documents.document(
                await database.read(lambda connection: _known(connection, here, domain_id))
            )

    @guarded.get("/{domain_id}/attribute-mappings", access=view)
    async def read_mappings(request: Request, domain_id: str) -> list[documents.ClaimMappingDocument]:
        """Which claims are from which attributes."""
        here = organization(request).id
        with problems():
            return documents.mappings(
                await database.read(lambda connection: _known(connection, here, domain_id))
            )


Prepare = Callable[[Connection], UserStoreSpec]
Put = Callable[[Request, Prepare], Awaitable[tuple[UserStoreSettings, documents.WholeStoreDocument]]]


def _putting(database: Database, box: SecretBox, policy: OutboundPolicy) -> Put:
    """Put what is prepared in the same transaction; the store and its document."""

    async def put(
        request: Request, prepare: Prepare
    ) -> tuple[UserStoreSettings, documents.WholeStoreDocument]:
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> UserStoreSettings:
            spec = prepare(connection)
            check_power_over_store(connection, caller, here, spec.name)
            put_user_store(connection, spec, box, policy)
            found = find_user_store(connection, here, spec.name)
            if found is None:
                raise UnknownUserStore(spec.name)
            return found

        store = await database.write(unit)
        return store, documents.document(store)

    return put


def _writing(
    guarded: GuardedRouter, database: Database, box: SecretBox, authentication: Authentication
) -> None:
    policy = authentication.policy
    update = needs(f"{_PERMISSION}/update", f"{_SCOPE}_update")

    put = _putting(database, box, policy)

    @guarded.post("", access=needs(f"{_PERMISSION}/create", f"{_SCOPE}_create"), refuses=(409,))
    async def create(
        request: Request, body: Annotated[StoreBody, Body()]
    ) -> Created[documents.WholeStoreDocument]:
        """Connect a user store; it is asked after those there are."""
        here = organization(request)

        def prepare(connection: Connection) -> UserStoreSpec:
            if find_user_store(connection, here.id, body.name) is not None:
                raise Taken("name: one that no user store of the organization has")
            return body.spec(here.id)

        with problems():
            store, shown = await put(request, prepare)
        location = f"/t/{here.name}{PREFIX}/{documents.identifier(store.name)}"
        return Created(shown, {"Location": location})

    @guarded.put("/{domain_id}", access=update)
    async def replace(
        request: Request, domain_id: str, body: Annotated[StoreBody, Body()]
    ) -> documents.WholeStoreDocument:
        """Describe a store anew. A masked secret stays, unless it would go to another address."""
        here = organization(request).id

        def prepare(connection: Connection) -> UserStoreSpec:
            known = _known(connection, here, domain_id)
            if body.name.upper() != known.name:
                raise InvalidUserStore("name", f"{known.name}: a store keeps its name")
            return body.spec(here)

        with problems():
            return (await put(request, prepare))[1]

    @guarded.patch("/{domain_id}", access=update)
    async def change(
        request: Request,
        domain_id: str,
        body: Annotated[list[Change], Body(min_length=1, max_length=200)],
    ) -> documents.WholeStoreDocument:
        """Change single properties."""
        here = organization(request).id

        with problems():
            return (await put(request, lambda c: _changed(_known(c, here, domain_id), here, body)))[1]


def _others(
    guarded: GuardedRouter, database: Database, authentication: Authentication, asking: AskingClients
) -> None:
    update = needs(f"{_PERMISSION}/update", f"{_SCOPE}_update")

    @guarded.delete("/{domain_id}", access=needs(f"{_PERMISSION}/delete", f"{_SCOPE}_delete"), refuses=(409,))
    async def delete(request: Request, domain_id: str) -> NoContent:
        """Disconnect a store. Tokens of its users are refused within a second."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            name = documents.named(domain_id)
            check_power_over_store(connection, caller, here, name)
            delete_user_store(connection, here, name, asking)

        with problems():
            await database.write(unit)
        return NoContent()

    @guarded.post("/test-connection", access=update)
    async def test_connection(request: Request, body: Annotated[StoreBody, Body()]) -> ConnectionDocument:
        """Try a store as it is described. One that accepts anybody is no connection."""
        here = organization(request).id
        with problems():
            spec = body.spec(here)
            store = await database.read(lambda c: settings_of(c, spec, authentication.policy))
            tested = await authentication.test(store, spec.settings.secrets())
        return {
            "connection": tested.is_well,
            "problem": tested.problem,
            "acceptsAnybody": tested.accepts_anybody,
        }


def _known(connection: Connection, here: str, domain_id: str) -> UserStoreSettings:
    found = find_user_store(connection, here, documents.named(domain_id))
    if found is None:
        raise UnknownUserStore(domain_id)
    return found


def _changed(known: UserStoreSettings, here: str, changes: list[Change]) -> UserStoreSpec:
    told = documents.document(known)
    properties = {one["name"]: one["value"] for one in told["properties"]}
    claims = {one["claimURI"]: one["mappedAttribute"] for one in told["claimAttributeMappings"]}
    description = told["description"]
    for one in changes:
        if one.path == "/description":
            description = "" if one.operation == "REMOVE" else one.value
            continue
        name = one.path.removeprefix("/properties/")
        if name == one.path or not name:
            raise InvalidUserStore(one.path, "/description or /properties/NAME")
        if one.operation == "REMOVE":
            properties.pop(name, None)
        else:
            properties[name] = one.value
    return documents.spec(here, known.type, known.name, description, properties, claims)
