"""Plans in SQL."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ostiary.apim.limits import Period
from ostiary.apim.model import Plan
from ostiary.apim.repository.rows import read_limit, rows_of, unique, written_limit
from ostiary.apim.tables import api_plans, plans, subscriptions

# Composed once: putting a statement together costs more than running it.
_ALL = select(plans).where(rows_of(plans, bindparam("organization_id"))).order_by(plans.c.name)
_NAMED = _ALL.where(plans.c.name.in_(bindparam("names", expanding=True)))
_INSERT = insert(plans)


def find_plan(connection: Connection, organization_id: str, plan_id: str) -> Plan | None:
    """The plan of that identifier."""
    row = connection.execute(
        select(plans).where(rows_of(plans, organization_id, plans.c.id == plan_id))
    ).first()
    return None if row is None else _plan(row)


def stored_plans(connection: Connection, organization_id: str) -> list[Plan]:
    """Every plan that has a row, by name; a built-in plan gets one at its first use."""
    return [_plan(row) for row in connection.execute(_ALL, {"organization_id": organization_id})]


def stored_plans_named(connection: Connection, organization_id: str, names: Iterable[str]) -> list[Plan]:
    """Those of the named plans that have a row."""
    these = {"organization_id": organization_id, "names": list(names)}
    return [_plan(row) for row in connection.execute(_NAMED, these)]


def insert_plan(connection: Connection, plan: Plan) -> None:
    """Write a new plan."""
    row = {
        "id": plan.id,
        "organization_id": plan.organization_id,
        "name": plan.name,
        "built_in": plan.built_in,
    }
    with unique(f"there is a plan {plan.name} already"):
        connection.execute(_INSERT, row | _limits(plan))


def update_plan(connection: Connection, plan: Plan) -> None:
    """Write the limit of an existing plan."""
    here = rows_of(plans, plan.organization_id, plans.c.id == plan.id)
    connection.execute(update(plans).where(here).values(_limits(plan)))


def remove_plan(connection: Connection, organization_id: str, plan_id: str) -> None:
    """Delete a plan nothing uses."""
    connection.execute(delete(plans).where(rows_of(plans, organization_id, plans.c.id == plan_id)))


def plan_is_used(connection: Connection, organization_id: str, plan_id: str) -> bool:
    """Whether an API offers the plan or a subscription has it."""
    offered = select(api_plans.c.plan_id).where(
        rows_of(api_plans, organization_id, api_plans.c.plan_id == plan_id)
    )
    had = select(subscriptions.c.id).where(
        rows_of(subscriptions, organization_id, subscriptions.c.plan_id == plan_id)
    )
    return any(connection.execute(query.limit(1)).first() is not None for query in (offered, had))


def _plan(row: Row[Any]) -> Plan:
    burst, per = read_limit(row.burst), Period(row.per)
    return Plan(row.id, row.organization_id, row.name, row.requests, per, row.built_in, burst, row.bandwidth)


def _limits(plan: Plan) -> dict[str, Any]:
    return {
        "requests": plan.requests,
        "per": plan.per.value,
        "burst": written_limit(plan.burst),
        "bandwidth": plan.bandwidth,
    }
