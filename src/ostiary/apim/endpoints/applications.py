"""The internal REST API of applications and their keys: /api/apim/v1/applications."""

from typing import Annotated, NotRequired

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.apim.applications import (
    ApplicationSpec,
    add_keys,
    canonical_owner,
    change_application,
    create_application,
    delete_application,
    delete_keys,
    get_application,
)
from ostiary.apim.endpoints.access import APPLICATION as MAY
from ostiary.apim.endpoints.paging import Limit, Offset, Page, page
from ostiary.apim.endpoints.problems import problems
from ostiary.apim.errors import Conflict, Invalid
from ostiary.apim.model import Application, KeyType
from ostiary.apim.repository import list_applications
from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import SecretBox
from ostiary.oauth import (
    ClientIdTaken,
    ClientSpec,
    PutClient,
    TokenFormat,
    check_power_over_client,
    find_client,
    put_client,
)
from ostiary.permissions import GuardedRouter, Principal, organization, principal


class ApplicationBody(BaseModel):
    """An application; without `owner` it is the caller's, without `tier` its tier stays."""

    model_config = ConfigDict(extra="forbid")

    name: str
    owner: str | None = Field(None, max_length=512)
    tier: str | None = Field(None, max_length=50)


class KeysBody(BaseModel):
    """Keys to be made; without `client_id` one is made too."""

    model_config = ConfigDict(extra="forbid")

    key_type: KeyType
    client_id: str | None = None
    grant_types: list[str] = Field(default_factory=lambda: ["client_credentials"], max_length=20)
    token_format: TokenFormat = TokenFormat.JWT
    user_stores: Annotated[list[str], Field(max_length=1_000)] | None = None


class ApplicationDocument(TypedDict):
    """An application; its clients' settings are at /api/oauth/v1/clients."""

    id: str
    name: str
    owner: str
    tier: str
    keys: dict[KeyType, str]


class KeysDocument(TypedDict):
    """A client of an application; `client_secret` is said once, by the answer that makes it."""

    key_type: KeyType
    client_id: str
    grant_types: list[str]
    token_format: TokenFormat
    client_secret: NotRequired[str]


def router(database: Database, box: SecretBox, clock: Clock) -> GuardedRouter:
    """List, read, create, change and delete applications; make and delete their keys."""
    guarded = GuardedRouter("/api/apim/v1/applications", tags=["Applications"])
    _reading(guarded, database)
    _writing(guarded, database)
    _keys(guarded, database, box, clock)
    return guarded


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=MAY["view"])
    async def list_all(request: Request, limit: Limit = 100, offset: Offset = 0) -> Page[ApplicationDocument]:
        """The organization's applications, by name and owner."""
        here = organization(request).id
        return page(await database.read(lambda c: list_applications(c, here)), limit, offset, present)

    @guarded.get("/{application_id}", access=MAY["view"])
    async def read_one(request: Request, application_id: str) -> ApplicationDocument:
        """One application."""
        here = organization(request).id
        with problems():
            return present(await database.read(lambda c: get_application(c, here, application_id)))


def _writing(guarded: GuardedRouter, database: Database) -> None:
    @guarded.post("", access=MAY["create"], refuses=(409,))
    async def create(
        request: Request, body: Annotated[ApplicationBody, Body()]
    ) -> Created[ApplicationDocument]:
        """Register an application."""
        here, caller, suffix = organization(request).id, principal(request), _suffix(request)

        def unit(connection: Connection) -> Application:
            return create_application(connection, here, _spec(connection, here, body, caller, suffix))

        with problems():
            application = await database.write(unit)
        return Created(present(application), {"Location": f"{request.url.path}/{application.id}"})

    @guarded.put("/{application_id}", access=MAY["update"], refuses=(409,))
    async def replace(
        request: Request, application_id: str, body: Annotated[ApplicationBody, Body()]
    ) -> ApplicationDocument:
        """Rename an application, give it to another owner or put it into another tier."""
        here, caller, suffix = organization(request).id, principal(request), _suffix(request)

        def unit(connection: Connection) -> Application:
            spec = _spec(connection, here, body, caller, suffix)
            return change_application(connection, here, application_id, spec)

        with problems():
            return present(await database.write(unit))

    @guarded.delete("/{application_id}", access=MAY["delete"])
    async def delete(request: Request, application_id: str) -> NoContent:
        """Remove an application with its subscriptions and clients."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            for client_id in get_application(connection, here, application_id).keys.values():
                check_power_over_client(connection, caller, here, client_id)
            delete_application(connection, here, application_id)

        with problems():
            await database.write(unit)
        return NoContent()


def _keys(guarded: GuardedRouter, database: Database, box: SecretBox, clock: Clock) -> None:
    @guarded.post("/{application_id}/keys", access=MAY["update"], refuses=(409,))
    async def make(
        request: Request, application_id: str, body: Annotated[KeysBody, Body()]
    ) -> Created[KeysDocument]:
        """Make a client for the application. The answer shows its secret, this once."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> PutClient:
            application = get_application(connection, here, application_id)
            if body.key_type in application.keys:
                raise Conflict(f"the application {application.name} has {body.key_type} keys already")
            if body.client_id is not None and find_client(connection, here, body.client_id) is not None:
                raise ClientIdTaken(body.client_id)
            spec = ClientSpec(
                client_id=body.client_id,
                name=application.name,
                grant_types=frozenset(body.grant_types),
                token_format=body.token_format,
                user_stores=None if body.user_stores is None else tuple(body.user_stores),
            )
            check_power_over_client(connection, caller, here, body.client_id, spec)
            put = put_client(connection, box, here, spec, clock())
            add_keys(connection, here, application_id, body.key_type, put.client.client_id)
            return put

        with problems():
            return _shown(await database.write(unit), body.key_type)

    @guarded.delete("/{application_id}/keys/{key_type}", access=MAY["update"])
    async def delete(request: Request, application_id: str, key_type: KeyType) -> NoContent:
        """Take keys away; their client and its tokens go with them."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            client_id = get_application(connection, here, application_id).keys.get(key_type)
            check_power_over_client(connection, caller, here, client_id)
            delete_keys(connection, here, application_id, key_type)

        with problems():
            await database.write(unit)
        return NoContent()


def _spec(
    connection: Connection, organization_id: str, body: ApplicationBody, caller: Principal, suffix: str
) -> ApplicationSpec:
    if body.owner is not None:
        owner = canonical_owner(connection, organization_id, body.owner)
        return ApplicationSpec(body.name, owner, tier=body.tier)
    if caller.subject_id is None:
        raise Invalid("owner", "none", "the user who owns the application, [STORE/]name")
    return ApplicationSpec(body.name, caller.name.removesuffix(suffix), caller.subject_id, body.tier)


def _suffix(request: Request) -> str:
    return f"@{organization(request).name}"


def _shown(put: PutClient, key_type: KeyType) -> Created[KeysDocument]:
    client = put.client
    body: KeysDocument = {
        "key_type": key_type,
        "client_id": client.client_id,
        "grant_types": sorted(client.grant_types),
        "token_format": client.token_format,
    }
    if put.secret is not None:
        body["client_secret"] = put.secret.get_secret_value()
    return Created(body, {"Cache-Control": "no-store"})


def present(application: Application) -> ApplicationDocument:
    """An application as JSON."""
    return {
        "id": application.id,
        "name": application.name,
        "owner": application.owner,
        "tier": application.tier,
        "keys": dict(sorted(application.keys.items())),
    }
