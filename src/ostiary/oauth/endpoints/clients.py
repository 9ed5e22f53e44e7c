"""The internal REST API of clients: /api/oauth/v1/clients."""

from datetime import timedelta
from typing import Annotated, NotRequired

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictBool, StrictInt
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.foundation.answers import Created, NoContent, Shown
from ostiary.foundation.problem import Problem
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.oauth.clients import PutClient, delete_client, find_client, list_clients, put_client
from ostiary.oauth.endpoints.problems import problems
from ostiary.oauth.errors import ClientIdTaken, UnknownClient
from ostiary.oauth.model import Client, ClientSpec, TokenFormat, Validity
from ostiary.oauth.powers import check_power_over_client
from ostiary.permissions import GuardedRouter, needs, organization, principal

PREFIX = "/api/oauth/v1/clients"
_PERMISSION = "/permission/admin/manage/identity/applicationmgt"
_SECOND = timedelta(seconds=1)
_Scopes = Annotated[list[str], Field(max_length=1_000)]
_Stores = Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=1_000)]
_Lifetime = Annotated[StrictInt, Field(ge=1, le=36_500 * 86_400)]


class ClientBody(BaseModel):
    """A client as its administrator describes it. Omitted means as in an organization file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: str | None = None
    client_secret: SecretStr | None = None
    name: str = ""
    grant_types: list[str] = Field(default_factory=list, max_length=20)
    token_format: TokenFormat = TokenFormat.JWT
    scopes: _Scopes | None = None
    default_scope: _Scopes = Field(default_factory=list)
    strict_scopes: StrictBool = False
    internal_scopes: StrictBool = False
    public: StrictBool = False
    disabled: StrictBool = False
    access_token_lifetime_seconds: _Lifetime | None = None
    refresh_token_lifetime_seconds: _Lifetime | None = None
    validity_period: Validity = Validity.FIXED
    user_stores: _Stores | None = None

    def spec(self, client_id: str | None) -> ClientSpec:
        """As the use case takes it."""
        return ClientSpec(
            client_id=client_id,
            name=self.name,
            secret=self.client_secret,
            grant_types=frozenset(self.grant_types),
            token_format=self.token_format,
            scopes=None if self.scopes is None else frozenset(self.scopes),
            default_scope=frozenset(self.default_scope),
            strict_scopes=self.strict_scopes,
            internal_scopes=self.internal_scopes,
            is_public=self.public,
            is_disabled=self.disabled,
            access_token_lifetime=_lifetime(self.access_token_lifetime_seconds),
            refresh_token_lifetime=_lifetime(self.refresh_token_lifetime_seconds),
            validity=self.validity_period,
            user_stores=None if self.user_stores is None else tuple(self.user_stores),
        )


class ClientDocument(TypedDict):
    """A client; `client_secret` is said once, by the answer that sets it."""

    client_id: str
    name: str
    grant_types: list[str]
    token_format: TokenFormat
    scopes: list[str] | None
    default_scope: list[str]
    strict_scopes: bool
    internal_scopes: bool
    public: bool
    disabled: bool
    access_token_lifetime_seconds: int | None
    refresh_token_lifetime_seconds: int | None
    validity_period: Validity
    user_stores: list[str] | None
    client_secret: NotRequired[str]


class ClientsDocument(TypedDict):
    """Every client, by id."""

    clients: list[ClientDocument]


def router(server: AuthorizationServer) -> GuardedRouter:
    """List, read, create, change and delete clients of the URL's organization."""
    guarded = GuardedRouter(PREFIX, tags=["Clients"])
    _reading(guarded, server)
    _writing(guarded, server)
    _deleting(guarded, server)
    return guarded


def _reading(guarded: GuardedRouter, server: AuthorizationServer) -> None:
    @guarded.get("", access=needs(f"{_PERMISSION}/view", "internal_application_mgt_view"))
    async def list_all(request: Request) -> ClientsDocument:
        """Every client of the organization, by id. Secrets are never shown again."""
        here = organization(request).id
        found = await server.database.read(lambda connection: list_clients(connection, here))
        return {"clients": [_present(client) for client in found]}

    @guarded.get("/{client_id}", access=needs(f"{_PERMISSION}/view", "internal_application_mgt_view"))
    async def read_one(request: Request, client_id: str) -> ClientDocument:
        """One client."""
        here = organization(request).id
        found = await server.database.read(lambda connection: find_client(connection, here, client_id))
        if found is None:
            raise _unknown()
        return _present(found)


def _writing(guarded: GuardedRouter, server: AuthorizationServer) -> None:
    @guarded.post(
        "", access=needs(f"{_PERMISSION}/create", "internal_application_mgt_create"), refuses=(409,)
    )
    async def create(request: Request, body: Annotated[ClientBody, Body()]) -> Created[ClientDocument]:
        """Register a client. The answer shows its secret, this once."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> PutClient:
            if body.client_id is not None and find_client(connection, here, body.client_id) is not None:
                raise ClientIdTaken(body.client_id)
            spec = body.spec(body.client_id)
            check_power_over_client(connection, caller, here, body.client_id, spec)
            return put_client(connection, server.box, here, spec, server.clock())

        with problems():
            return Created(*_shown(await server.database.write(unit)))

    @guarded.put(
        "/{client_id}",
        access=needs(f"{_PERMISSION}/update", "internal_application_mgt_update"),
        refuses=(409,),
    )
    async def replace(
        request: Request, client_id: str, body: Annotated[ClientBody, Body()]
    ) -> Shown[ClientDocument] | Created[ClientDocument]:
        """Make a client what the body says, creating it where it is missing.

        A known client's secret changes only where the body has one.
        """
        if body.client_id not in (None, client_id):
            raise Problem(400, "400", "Bad Request", "client_id: the one in the URL, or none")
        here, caller = organization(request).id, principal(request)
        sets_secret = body.client_secret is not None

        def unit(connection: Connection) -> PutClient:
            spec = body.spec(client_id)
            check_power_over_client(connection, caller, here, client_id, spec)
            return put_client(connection, server.box, here, spec, server.clock(), set_secret=sets_secret)

        with problems():
            put = await server.database.write(unit)
        return (Created if put.is_new else Shown)(*_shown(put))


def _deleting(guarded: GuardedRouter, server: AuthorizationServer) -> None:
    @guarded.delete("/{client_id}", access=needs(f"{_PERMISSION}/delete", "internal_application_mgt_delete"))
    async def delete(request: Request, client_id: str) -> NoContent:
        """Remove a client. Its tokens are refused within a second."""
        here, caller = organization(request).id, principal(request)

        def unit(connection: Connection) -> None:
            check_power_over_client(connection, caller, here, client_id)
            delete_client(connection, here, client_id)

        try:
            with problems():
                await server.database.write(unit)
        except UnknownClient as error:
            raise _unknown() from error
        return NoContent()


def _shown(put: PutClient) -> tuple[ClientDocument, dict[str, str]]:
    body = _present(put.client)
    if put.secret is not None:
        body["client_secret"] = put.secret.get_secret_value()
    return body, {"Cache-Control": "no-store"}


def _present(client: Client) -> ClientDocument:
    return {
        "client_id": client.client_id,
        "name": client.name,
        "grant_types": sorted(client.grant_types),
        "token_format": client.token_format,
        "scopes": None if client.scopes is None else sorted(client.scopes),
        "default_scope": sorted(client.default_scope),
        "strict_scopes": client.strict_scopes,
        "internal_scopes": client.internal_scopes,
        "public": client.is_public,
        "disabled": client.is_disabled,
        "access_token_lifetime_seconds": _seconds(client.access_token_lifetime),
        "refresh_token_lifetime_seconds": _seconds(client.refresh_token_lifetime),
        "validity_period": client.validity,
        "user_stores": None if client.user_stores is None else list(client.user_stores),
    }


def _unknown() -> Problem:
    return Problem(404, "404", "Not Found", "the organization has no such client")


def _lifetime(seconds: int | None) -> timedelta | None:
    return None if seconds is None else seconds * _SECOND


def _seconds(lifetime: timedelta | None) -> int | None:
    return None if lifetime is None else lifetime // _SECOND
