"""The internal REST API of subscriptions: /api/apim/v1/subscriptions."""

from typing import Annotated

from fastapi import Body
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from ostiary.apim.endpoints.access import SUBSCRIPTION as MAY
from ostiary.apim.endpoints.paging import Limit, Offset, Page, page
from ostiary.apim.endpoints.problems import problems
from ostiary.apim.model import Subscription, SubscriptionState
from ostiary.apim.repository import list_subscriptions
from ostiary.apim.subscribing import change_subscription, get_subscription, subscribe, unsubscribe
from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.database import Database
from ostiary.permissions import GuardedRouter, organization


class SubscriptionBody(BaseModel):
    """Who subscribes to what, and under which plan."""

    model_config = ConfigDict(extra="forbid")

    application_id: str
    api_id: str
    plan: str


class SubscriptionChangeBody(BaseModel):
    """What changes; omitted stays."""

    model_config = ConfigDict(extra="forbid")

    plan: str | None = None
    state: SubscriptionState | None = None


class SubscriptionDocument(TypedDict):
    """A subscription."""

    id: str
    application_id: str
    api_id: str
    plan: str
    state: SubscriptionState


def router(database: Database) -> GuardedRouter:
    """List, read, make, change and end subscriptions."""
    guarded = GuardedRouter("/api/apim/v1/subscriptions", tags=["Subscriptions"])
    _reading(guarded, database)
    _writing(guarded, database)
    return guarded


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=MAY["view"])
    async def list_all(
        request: Request,
        limit: Limit = 100,
        offset: Offset = 0,
        application_id: str | None = None,
        api_id: str | None = None,
    ) -> Page[SubscriptionDocument]:
        """The organization's subscriptions, of one application or to one API version if so asked."""
        here = organization(request).id

        def unit(connection: Connection) -> list[Subscription]:
            return [
                subscription
                for subscription in list_subscriptions(connection, here)
                if application_id in (None, subscription.application_id)
                and api_id in (None, subscription.api_id)
            ]

        return page(await database.read(unit), limit, offset, present)

    @guarded.get("/{subscription_id}", access=MAY["view"])
    async def read_one(request: Request, subscription_id: str) -> SubscriptionDocument:
        """One subscription."""
        here = organization(request).id
        with problems():
            return present(await database.read(lambda c: get_subscription(c, here, subscription_id)))


def _writing(guarded: GuardedRouter, database: Database) -> None:
    @guarded.post("", access=MAY["create"], refuses=(404, 409))
    async def create(
        request: Request, body: Annotated[SubscriptionBody, Body()]
    ) -> Created[SubscriptionDocument]:
        """Let an application call an API version."""
        here = organization(request).id
        with problems():
            made = await database.write(
                lambda c: subscribe(c, here, body.application_id, body.api_id, body.plan)
            )
        return Created(present(made), {"Location": f"{request.url.path}/{made.id}"})

    @guarded.patch("/{subscription_id}", access=MAY["update"], refuses=(409,))
    async def change(
        request: Request, subscription_id: str, body: Annotated[SubscriptionChangeBody, Body()]
    ) -> SubscriptionDocument:
        """Give a subscription another plan or state, such as BLOCKED."""
        here = organization(request).id
        with problems():
            return present(
                await database.write(
                    lambda c: change_subscription(c, here, subscription_id, body.plan, body.state)
                )
            )

    @guarded.delete("/{subscription_id}", access=MAY["delete"])
    async def delete(request: Request, subscription_id: str) -> NoContent:
        """End a subscription; calls are refused within a second."""
        here = organization(request).id
        with problems():
            await database.write(lambda c: unsubscribe(c, here, subscription_id))
        return NoContent()


def present(subscription: Subscription) -> SubscriptionDocument:
    """A subscription as JSON."""
    return {
        "id": subscription.id,
        "application_id": subscription.application_id,
        "api_id": subscription.api_id,
        "plan": subscription.plan,
        "state": subscription.state,
    }
