"""Plans: four that every organization has, and its own.

A built-in plan has one identifier per organization, made from its name, so it exists before it
has a row; the row is written when something first refers to it.
"""

from collections.abc import Sequence
from uuid import UUID, uuid5

from sqlalchemy import Connection

from ostiary.apim import repository
from ostiary.apim.errors import Conflict, Invalid, NotFound
from ostiary.apim.limits import Limit, Period, check_burst, parse_limit
from ostiary.apim.model import Plan, parse_plan_name
from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.identifiers import new_id

BUILT_IN: dict[str, int | None] = {"Bronze": 1000, "Silver": 2000, "Gold": 5000, "Unlimited": None}
"""Requests per minute by name; None is unlimited."""

_NAMESPACE = UUID("0b3f9d0e-5a39-4f53-9a0c-6c1f2f4c7c11")


def built_in_plan(organization_id: str, name: str) -> Plan:
    """The built-in plan of that name as the organization has it."""
    identifier = str(uuid5(_NAMESPACE, f"{organization_id}/{name}"))
    return Plan(identifier, organization_id, name, BUILT_IN[name], Period.MINUTE, built_in=True)


def built_in_plans(organization_id: str) -> list[Plan]:
    """The plans that the organization has from the start."""
    return [built_in_plan(organization_id, name) for name in BUILT_IN]


def list_plans(connection: Connection, organization_id: str) -> list[Plan]:
    """Every plan of the organization: the built-in ones, then its own by name."""
    own = [plan for plan in repository.stored_plans(connection, organization_id) if not plan.built_in]
    return [*built_in_plans(organization_id), *own]


def find_plan(connection: Connection, organization_id: str, plan_id: str) -> Plan | None:
    """The plan of that identifier, built-in ones included."""
    return next((plan for plan in list_plans(connection, organization_id) if plan.id == plan_id), None)


def put_plan(
    connection: Connection,
    organization_id: str,
    name: str,
    requests: int | None,
    per: Period,
    burst: Limit | None = None,
    bandwidth: int | None = None,
) -> Plan:
    """Create one of the organization's own plans, or change its limit.

    Raises:
        Invalid: a name or limit that cannot be.
        Conflict: the name is a built-in plan's.
    """
    parse_plan_name(name)
    parse_limit(requests)
    check_burst(burst)
    _refuse_built_in(name)
    found = _named(connection, organization_id, [name]).get(name)
    id = found.id if found else new_id()
    plan = Plan(id, organization_id, name, requests, per, burst=burst, bandwidth=bandwidth)
    if found == plan:
        return plan
    (repository.update_plan if found else repository.insert_plan)(connection, plan)
    record(connection, Event("plan", organization_id, plan.id))
    audit.note(connection, organization_id, "plan", plan.id, found, plan)
    return plan


def delete_plan(connection: Connection, organization_id: str, plan_id: str) -> None:
    """Delete one of the organization's own plans.

    Raises:
        NotFound: the organization has no such plan.
        Conflict: it is built in, an API offers it or a subscription has it.
    """
    plan = find_plan(connection, organization_id, plan_id)
    if plan is None:
        raise NotFound("plan", plan_id)
    _refuse_built_in(plan.name)
    if repository.plan_is_used(connection, organization_id, plan_id):
        raise Conflict(f"the plan {plan.name} is in use")
    repository.remove_plan(connection, organization_id, plan_id)
    record(connection, Event("plan", organization_id, plan_id))
    audit.note(connection, organization_id, "plan", plan_id, plan, None)


def plans_named(connection: Connection, organization_id: str, names: Sequence[str]) -> list[Plan]:
    """The plans of those names, each with a row to refer to. Needs a write transaction.

    Raises:
        Invalid: there is no plan of one of the names.
    """
    stored = _named(connection, organization_id, names)
    for name in names:
        if name not in stored:
            if name not in BUILT_IN:
                known = ", ".join(plan.name for plan in list_plans(connection, organization_id))
                raise Invalid("plan", repr(name), f"one of {known}")
            stored[name] = built_in_plan(organization_id, name)
            repository.insert_plan(connection, stored[name])
            record(connection, Event("plan", organization_id, stored[name].id))
    return [stored[name] for name in names]


def _named(connection: Connection, organization_id: str, names: Sequence[str]) -> dict[str, Plan]:
    found = repository.stored_plans_named(connection, organization_id, names)
    return {plan.name: plan for plan in found}


def _refuse_built_in(name: str) -> None:
    if name in BUILT_IN:
        raise Conflict(f"the plan {name} is built in and cannot be changed")
