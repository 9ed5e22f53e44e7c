"""The internal REST API of plans: /api/apim/v1/plans."""

from typing import Annotated

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, StrictInt
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.apim.endpoints.access import PLAN as MAY
from ostiary.apim.endpoints.limits import LimitBody, LimitDocument, present_limit
from ostiary.apim.endpoints.paging import Limit, Offset, Page, page
from ostiary.apim.endpoints.problems import problems
from ostiary.apim.errors import Conflict, NotFound
from ostiary.apim.limits import Period, parse_bandwidth, written_bandwidth
from ostiary.apim.model import Plan
from ostiary.apim.plans import delete_plan, find_plan, list_plans, put_plan
from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.database import Database
from ostiary.permissions import GuardedRouter, organization


class LimitsBody(BaseModel):
    """How many requests in which window; `requests: null` is unlimited."""

    model_config = ConfigDict(extra="forbid")

    requests: StrictInt | None
    per: Period = Period.MINUTE
    burst: LimitBody | None = None
    bandwidth: str | None = Field(None, max_length=20)

    def put(self, connection: Connection, organization_id: str, name: str) -> Plan:
        """Give the plan of that name these limits."""
        burst = None if self.burst is None else self.burst.limit()
        bandwidth = None if self.bandwidth is None else parse_bandwidth(self.bandwidth)
        return put_plan(connection, organization_id, name, self.requests, self.per, burst, bandwidth)


class PlanBody(LimitsBody):
    """A new plan."""

    name: str


class PlanDocument(TypedDict):
    """A plan; `requests: null` is unlimited."""

    id: str
    name: str
    requests: int | None
    per: Period
    burst: LimitDocument | None
    bandwidth: str | None
    built_in: bool


def router(database: Database) -> GuardedRouter:
    """List, read, create, change and delete plans; the built-in ones are there to be read."""
    guarded = GuardedRouter("/api/apim/v1/plans", tags=["Plans"])
    _reading(guarded, database)
    _writing(guarded, database)
    return guarded


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=MAY["view"])
    async def list_all(request: Request, limit: Limit = 100, offset: Offset = 0) -> Page[PlanDocument]:
        """The organization's plans: the built-in ones, then its own by name."""
        here = organization(request).id
        return page(await database.read(lambda c: list_plans(c, here)), limit, offset, present)

    @guarded.get("/{plan_id}", access=MAY["view"])
    async def read_one(request: Request, plan_id: str) -> PlanDocument:
        """One plan."""
        here = organization(request).id
        with problems():
            return present(await database.read(lambda c: _known(c, here, plan_id)))


def _writing(guarded: GuardedRouter, database: Database) -> None:
    @guarded.post("", access=MAY["create"], refuses=(409,))
    async def create(request: Request, body: Annotated[PlanBody, Body()]) -> Created[PlanDocument]:
        """Add a plan of the organization's own."""
        here = organization(request).id

        def unit(connection: Connection) -> Plan:
            if any(plan.name == body.name for plan in list_plans(connection, here)):
                raise Conflict(f"there is a plan {body.name} already")
            return body.put(connection, here, body.name)

        with problems():
            plan = await database.write(unit)
        return Created(present(plan), {"Location": f"{request.url.path}/{plan.id}"})

    @guarded.put("/{plan_id}", access=MAY["update"], refuses=(409,))
    async def replace(request: Request, plan_id: str, body: Annotated[LimitsBody, Body()]) -> PlanDocument:
        """Give a plan another limit."""
        here = organization(request).id

        def unit(connection: Connection) -> Plan:
            return body.put(connection, here, _known(connection, here, plan_id).name)

        with problems():
            return present(await database.write(unit))

    @guarded.delete("/{plan_id}", access=MAY["delete"], refuses=(409,))
    async def delete(request: Request, plan_id: str) -> NoContent:
        """Remove a plan nothing uses."""
        here = organization(request).id
        with problems():
            await database.write(lambda c: delete_plan(c, here, plan_id))
        return NoContent()


def _known(connection: Connection, organization_id: str, plan_id: str) -> Plan:
    plan = find_plan(connection, organization_id, plan_id)
    if plan is None:
        raise NotFound("plan", plan_id)
    return plan


def present(plan: Plan) -> PlanDocument:
    """A plan as JSON."""
    return {
        "id": plan.id,
        "name": plan.name,
        "requests": plan.requests,
        "per": plan.per,
        "burst": present_limit(plan.burst),
        "bandwidth": None if plan.bandwidth is None else written_bandwidth(plan.bandwidth),
        "built_in": plan.built_in,
    }
