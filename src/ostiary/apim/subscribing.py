"""Subscribing: which application may call which API version, under which plan."""

from dataclasses import replace

from sqlalchemy import Connection

from ostiary.apim import repository
from ostiary.apim.applications import get_application
from ostiary.apim.errors import Conflict, Invalid, NotFound, NotSubscribable
from ostiary.apim.lifecycle import SUBSCRIBABLE
from ostiary.apim.model import API, Subscription, SubscriptionState
from ostiary.apim.plans import plans_named
from ostiary.apim.publishing import get_api
from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.identifiers import new_id


def subscribe(
    connection: Connection, organization_id: str, application_id: str, api_id: str, plan: str
) -> Subscription:
    """Let an application call an API version.

    Raises:
        NotFound: the organization has no such application or API version.
        NotSubscribable: the API version takes no subscriptions, or not with that plan.
        Conflict: the application is subscribed already.
    """
    application = get_application(connection, organization_id, application_id)
    api = get_api(connection, organization_id, api_id)
    check_subscribable(f"{api.name} {api.version}", api.state)
    plan_id = _offered(connection, api, plan)
    if repository.find_subscription_to(connection, organization_id, application_id, api_id):
        raise Conflict(f"{application.name} is subscribed to {api.name} {api.version} already")
    subscription = Subscription(
        new_id(), organization_id, application_id, api_id, plan_id, plan, SubscriptionState.UNBLOCKED
    )
    repository.insert_subscription(connection, subscription)
    record(connection, Event("subscription", organization_id, subscription.id))
    audit.note(connection, organization_id, "subscription", subscription.id, None, subscription)
    return subscription


def check_subscribable(api: str, state: str) -> None:
    """Refuse a new subscription to an API version, by its name and version, that takes none.

    Raises:
        NotSubscribable: it is not published, or no longer.
    """
    if state not in SUBSCRIBABLE:
        raise NotSubscribable(f"{api} is {state} and takes no new subscription")


def change_subscription(
    connection: Connection,
    organization_id: str,
    subscription_id: str,
    plan: str | None = None,
    state: SubscriptionState | None = None,
) -> Subscription:
    """Give a subscription another plan or state; None keeps it.

    Raises:
        NotFound: the organization has no such subscription.
        NotSubscribable: the API version does not offer that plan.
    """
    found = get_subscription(connection, organization_id, subscription_id)
    changed = replace(found, state=state or found.state)
    if plan is not None and plan != found.plan:
        api = get_api(connection, organization_id, found.api_id)
        changed = replace(changed, plan=plan, plan_id=_offered(connection, api, plan))
    if changed != found:
        repository.update_subscription(connection, changed)
        record(connection, Event("subscription", organization_id, subscription_id))
        audit.note(connection, organization_id, "subscription", subscription_id, found, changed)
    return changed


def unsubscribe(connection: Connection, organization_id: str, subscription_id: str) -> None:
    """End a subscription.

    Raises:
        NotFound: the organization has no such subscription.
    """
    found = get_subscription(connection, organization_id, subscription_id)
    repository.remove_subscription(connection, organization_id, subscription_id)
    record(connection, Event("subscription", organization_id, subscription_id))
    audit.note(connection, organization_id, "subscription", subscription_id, found, None)


def get_subscription(connection: Connection, organization_id: str, subscription_id: str) -> Subscription:
    """The subscription of that identifier.

    Raises:
        NotFound: the organization has no such subscription.
    """
    found = repository.find_subscription(connection, organization_id, subscription_id)
    if found is None:
        raise NotFound("subscription", subscription_id)
    return found


def _offered(connection: Connection, api: API, plan: str) -> str:
    if plan not in api.plans:
        offered = ", ".join(api.plans) or "none"
        raise NotSubscribable(
            f"{api.name} {api.version} is not offered with the plan {plan!r} (but: {offered})"
        )
    try:
        return plans_named(connection, api.organization_id, [plan])[0].id
    except Invalid as error:
        raise NotSubscribable(str(error)) from error
