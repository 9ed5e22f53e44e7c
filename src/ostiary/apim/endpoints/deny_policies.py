"""The internal REST API of deny policies: /api/apim/v1/deny-policies."""

from typing import Annotated

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.apim.denying import (
    DenyCondition,
    DenySpec,
    create_deny_policy,
    delete_deny_policy,
    get_deny_policy,
    switch_deny_policy,
    written_value,
)
from ostiary.apim.endpoints.access import DENY as MAY
from ostiary.apim.endpoints.paging import Limit, Offset, Page, page
from ostiary.apim.endpoints.problems import problems
from ostiary.apim.model import DenyPolicy
from ostiary.apim.repository import list_deny_policies
from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.database import Database
from ostiary.permissions import GuardedRouter, organization


class DenyBody(BaseModel):
    """What is denied: an address, a range of them, a user, an application (`owner:name`), an API."""

    model_config = ConfigDict(extra="forbid")

    condition: DenyCondition
    value: str = Field(min_length=1, max_length=600)
    invert: StrictBool = False
    enabled: StrictBool = True

    def spec(self) -> DenySpec:
        """As the use case takes it."""
        return DenySpec(self.condition, self.value, self.invert, self.enabled)


class SwitchBody(BaseModel):
    """Whether a policy is in force."""

    model_config = ConfigDict(extra="forbid")

    enabled: StrictBool


class DenyDocument(TypedDict):
    """A deny policy."""

    id: str
    condition: DenyCondition
    value: str
    invert: bool
    enabled: bool


def router(database: Database) -> GuardedRouter:
    """List, read, make, switch and remove deny policies."""
    guarded = GuardedRouter("/api/apim/v1/deny-policies", tags=["Deny policies"])
    _reading(guarded, database)
    _writing(guarded, database)
    return guarded


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=MAY["view"])
    async def list_all(request: Request, limit: Limit = 100, offset: Offset = 0) -> Page[DenyDocument]:
        """The organization's deny policies, by condition and value."""
        here = organization(request).id

        def unit(connection: Connection) -> list[DenyDocument]:
            return [present(connection, one) for one in list_deny_policies(connection, here)]

        return page(await database.read(unit), limit, offset, lambda one: one)

    @guarded.get("/{policy_id}", access=MAY["view"])
    async def read_one(request: Request, policy_id: str) -> DenyDocument:
        """One deny policy."""
        here = organization(request).id
        with problems():
            return await database.read(lambda c: present(c, get_deny_policy(c, here, policy_id)))


def _writing(guarded: GuardedRouter, database: Database) -> None:
    @guarded.post("", access=MAY["create"], refuses=(409,))
    async def create(request: Request, body: Annotated[DenyBody, Body()]) -> Created[DenyDocument]:
        """Begin to refuse calls, within a second, whatever else holds."""
        here = organization(request).id
        with problems():
            made = await database.write(lambda c: present(c, create_deny_policy(c, here, body.spec())))
        return Created(made, {"Location": f"{request.url.path}/{made['id']}"})

    @guarded.patch("/{policy_id}", access=MAY["update"])
    async def switch(request: Request, policy_id: str, body: Annotated[SwitchBody, Body()]) -> DenyDocument:
        """Turn a deny policy on or off."""
        here = organization(request).id

        def unit(connection: Connection) -> DenyDocument:
            return present(connection, switch_deny_policy(connection, here, policy_id, enabled=body.enabled))

        with problems():
            return await database.write(unit)

    @guarded.delete("/{policy_id}", access=MAY["delete"])
    async def delete(request: Request, policy_id: str) -> NoContent:
        """Remove a deny policy; calls pass again within a second."""
        here = organization(request).id
        with problems():
            await database.write(lambda c: delete_deny_policy(c, here, policy_id))
        return NoContent()


def present(connection: Connection, policy: DenyPolicy) -> DenyDocument:
    """A deny policy as JSON."""
    return {
        "id": policy.id,
        "condition": DenyCondition(policy.condition),
        "value": written_value(connection, policy),
        "invert": policy.invert,
        "enabled": policy.enabled,
    }
