"""Subscriptions in SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, insert, select, update

from ostiary.apim.model import Subscription, SubscriptionState
from ostiary.apim.repository.rows import could_be_id, rows_of, unique
from ostiary.apim.tables import plans, subscriptions

_SUBSCRIPTION = (*subscriptions.c, plans.c.name.label("plan"))

# Composed once: putting a statement together costs more than running it.
_ALL = (
    select(*_SUBSCRIPTION)
    .join(plans, plans.c.id == subscriptions.c.plan_id)
    .where(rows_of(subscriptions, bindparam("organization_id")))
    .order_by(subscriptions.c.id)
)
_BY_ID = _ALL.where(subscriptions.c.id == bindparam("id"))
_OF_APPLICATION = _ALL.where(subscriptions.c.application_id == bindparam("application_id"))
_TO = _OF_APPLICATION.where(subscriptions.c.api_id == bindparam("api_id"))
_AFTER = _ALL.where(subscriptions.c.id > bindparam("after")).limit(bindparam("at_most"))
_INSERT = insert(subscriptions)
_REMOVE = delete(subscriptions).where(
    rows_of(subscriptions, bindparam("key_organization_id"), subscriptions.c.id == bindparam("key_id"))
)


def find_subscription(
    connection: Connection, organization_id: str, subscription_id: str
) -> Subscription | None:
    """The subscription of that identifier."""
    if not could_be_id(subscription_id):
        return None
    row = connection.execute(_BY_ID, {"organization_id": organization_id, "id": subscription_id}).first()
    return None if row is None else _subscription(row)


def find_subscription_to(
    connection: Connection, organization_id: str, application_id: str, api_id: str
) -> Subscription | None:
    """The subscription that an application has to an API version."""
    these = {"organization_id": organization_id, "application_id": application_id, "api_id": api_id}
    row = connection.execute(_TO, these).first()
    return None if row is None else _subscription(row)


def list_subscriptions(
    connection: Connection, organization_id: str, *conditions: ColumnElement[bool]
) -> list[Subscription]:
    """Every subscription of the organization for which the conditions hold."""
    rows = connection.execute(_ALL.where(*conditions), {"organization_id": organization_id})
    return [_subscription(row) for row in rows]


def subscriptions_after(
    connection: Connection, organization_id: str, after: str, at_most: int
) -> list[Subscription]:
    """The next subscriptions by identifier."""
    these = {"organization_id": organization_id, "after": after, "at_most": at_most}
    return [_subscription(row) for row in connection.execute(_AFTER, these)]


def subscriptions_of_application(
    connection: Connection, organization_id: str, application_id: str
) -> list[Subscription]:
    """The subscriptions an application has."""
    these = {"organization_id": organization_id, "application_id": application_id}
    return [_subscription(row) for row in connection.execute(_OF_APPLICATION, these)]


def subscriptions_to_api(connection: Connection, organization_id: str, api_id: str) -> list[Subscription]:
    """The subscriptions to an API version."""
    return list_subscriptions(connection, organization_id, subscriptions.c.api_id == api_id)


def insert_subscription(connection: Connection, subscription: Subscription) -> None:
    """Write a new subscription."""
    insert_subscriptions(connection, [subscription])


def insert_subscriptions(connection: Connection, several: Sequence[Subscription]) -> None:
    """Write new subscriptions."""
    rows = [
        {
            "id": one.id,
            "organization_id": one.organization_id,
            "application_id": one.application_id,
            "api_id": one.api_id,
            "plan_id": one.plan_id,
            "state": one.state.value,
        }
        for one in several
    ]
    if rows:
        with unique("the application is subscribed to this API version already"):
            connection.execute(_INSERT, rows)


def update_subscription(connection: Connection, subscription: Subscription) -> None:
    """Write plan and state of an existing subscription."""
    here = rows_of(subscriptions, subscription.organization_id, subscriptions.c.id == subscription.id)
    values = {"plan_id": subscription.plan_id, "state": subscription.state.value}
    connection.execute(update(subscriptions).where(here).values(values))


def remove_subscription(connection: Connection, organization_id: str, subscription_id: str) -> None:
    """Delete a subscription."""
    connection.execute(_REMOVE, {"key_organization_id": organization_id, "key_id": subscription_id})


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        id=row.id,
        organization_id=row.organization_id,
        application_id=row.application_id,
        api_id=row.api_id,
        plan_id=row.plan_id,
        plan=row.plan,
        state=SubscriptionState(row.state),
    )
