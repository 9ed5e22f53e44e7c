"""The internal REST API of an application's API keys: /api/apim/v1/applications/{id}/api-keys."""

from datetime import UTC, datetime
from typing import Annotated, NotRequired

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.apim.api_keys import APIKeySpec, create_api_key, list_api_keys, revoke_api_key
from ostiary.apim.endpoints.access import APPLICATION as MAY
from ostiary.apim.endpoints.paging import Limit, Offset, Page, page
from ostiary.apim.endpoints.problems import problems
from ostiary.apim.endpoints.times import AwareMoment
from ostiary.apim.model import APIKey, KeyType
from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.permissions import GuardedRouter, organization


class APIKeyBody(BaseModel):
    """A key to be made. Without restrictions its calls may come from anywhere, without an end for ever."""

    model_config = ConfigDict(extra="forbid")

    name: str
    key_type: KeyType = KeyType.PRODUCTION
    expires_at: AwareMoment | None = None
    permitted_ips: list[str] = Field(default_factory=list, max_length=50)
    permitted_referers: list[str] = Field(default_factory=list, max_length=50)

    def spec(self) -> APIKeySpec:
        """As the use case takes it."""
        addresses, referers = tuple(self.permitted_ips), tuple(self.permitted_referers)
        return APIKeySpec(self.name, self.key_type, self.expires_at, addresses, referers)


class APIKeyDocument(TypedDict):
    """An API key; `api_key` is what a caller shows, said once by the answer that makes it."""

    id: str
    name: str
    key_type: KeyType
    created_at: str
    expires_at: str | None
    permitted_ips: list[str]
    permitted_referers: list[str]
    api_key: NotRequired[str]


def router(database: Database, clock: Clock) -> GuardedRouter:
    """List, make and revoke the API keys of an application."""
    guarded = GuardedRouter("/api/apim/v1/applications/{application_id}/api-keys", tags=["API keys"])

    @guarded.get("", access=MAY["view"])
    async def list_all(
        request: Request, application_id: str, limit: Limit = 100, offset: Offset = 0
    ) -> Page[APIKeyDocument]:
        """The API keys of an application, by name; never what a caller shows."""
        here = organization(request).id
        with problems():
            keys = await database.read(lambda c: list_api_keys(c, here, application_id))
        return page(keys, limit, offset, present)

    @guarded.post("", access=MAY["update"], refuses=(409,))
    async def make(
        request: Request, application_id: str, body: Annotated[APIKeyBody, Body()]
    ) -> Created[APIKeyDocument]:
        """Make an API key. The answer shows it, this once."""
        here, now = organization(request).id, clock()
        with problems():
            key, secret = await database.write(
                lambda c: create_api_key(c, here, application_id, body.spec(), now)
            )
        shown: APIKeyDocument = {**present(key), "api_key": secret.get_secret_value()}
        headers = {"Location": f"{request.url.path}/{key.id}", "Cache-Control": "no-store"}
        return Created(shown, headers)

    @guarded.delete("/{key_id}", access=MAY["update"])
    async def revoke(request: Request, application_id: str, key_id: str) -> NoContent:
        """Revoke an API key; its calls are refused within a second."""
        here = organization(request).id
        with problems():
            await database.write(lambda c: revoke_api_key(c, here, application_id, key_id))
        return NoContent()

    return guarded


def present(key: APIKey) -> APIKeyDocument:
    """An API key as JSON, without what a caller shows."""
    return {
        "id": key.id,
        "name": key.name,
        "key_type": key.key_type,
        "created_at": _time(key.created_at),
        "expires_at": None if key.expires_at is None else _time(key.expires_at),
        "permitted_ips": list(key.addresses),
        "permitted_referers": list(key.referers),
    }


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
