"""API versions in SQL."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from ostiary.apim.lifecycle import LifecycleState
from ostiary.apim.model import API, Backend, Resource
from ostiary.apim.paths import enclosing
from ostiary.apim.repository.rows import could_be_id, rows_of, unique
from ostiary.apim.tables import api_plans, apis, plans


def find_api(connection: Connection, organization_id: str, api_id: str) -> API | None:
    """The API version of that identifier."""
    if not could_be_id(api_id):
        return None
    found = _read_apis(connection, organization_id, apis.c.id == api_id)
    return found[0] if found else None


def find_api_named(connection: Connection, organization_id: str, name: str, version: str) -> API | None:
    """The API version of that name and version."""
    found = _read_apis(connection, organization_id, (apis.c.name == name) & (apis.c.version == version))
    return found[0] if found else None


def list_apis(connection: Connection, organization_id: str) -> list[API]:
    """Every API version of the organization, by name and version."""
    return _read_apis(connection, organization_id)


def overlapping_apis(connection: Connection, organization_id: str, base_path: str) -> list[API]:
    """API versions whose resources would lie under `base_path` or enclose it, itself included."""
    under = apis.c.base_path.startswith(base_path + "/", autoescape=True)
    same_or_over = apis.c.base_path.in_((base_path, *enclosing(base_path)))
    return _read_apis(connection, organization_id, or_(under, same_or_over))


def insert_api(connection: Connection, api: API, plan_ids: Sequence[str]) -> None:
    """Write a new API version."""
    row = {"id": api.id, "organization_id": api.organization_id, **_api_values(api)}
    with unique(f"{api.name} {api.version} or its path {api.base_path} exists already"):
        connection.execute(insert(apis).values(row))
    _write_api_plans(connection, api, plan_ids)


def update_api(connection: Connection, api: API, plan_ids: Sequence[str]) -> None:
    """Write everything about an existing API version."""
    here = rows_of(apis, api.organization_id, apis.c.id == api.id)
    with unique(f"{api.name} {api.version} or its path {api.base_path} exists already"):
        connection.execute(update(apis).where(here).values(_api_values(api)))
    _write_api_plans(connection, api, plan_ids)


def remove_api(connection: Connection, organization_id: str, api_id: str) -> None:
    """Delete an API version that has no subscription."""
    connection.execute(
        delete(api_plans).where(rows_of(api_plans, organization_id, api_plans.c.api_id == api_id))
    )
    connection.execute(delete(apis).where(rows_of(apis, organization_id, apis.c.id == api_id)))


def _write_api_plans(connection: Connection, api: API, plan_ids: Sequence[str]) -> None:
    here = rows_of(api_plans, api.organization_id, api_plans.c.api_id == api.id)
    connection.execute(delete(api_plans).where(here))
    rows = [
        {"organization_id": api.organization_id, "api_id": api.id, "plan_id": plan_id, "position": position}
        for position, plan_id in enumerate(plan_ids)
    ]
    if rows:
        connection.execute(insert(api_plans), rows)


def _read_apis(connection: Connection, organization_id: str, *conditions: ColumnElement[bool]) -> list[API]:
    query = (
        select(apis).where(rows_of(apis, organization_id, *conditions)).order_by(apis.c.name, apis.c.version)
    )
    rows = connection.execute(query).all()
    offered: defaultdict[str, list[str]] = defaultdict(list)
    links = (
        select(api_plans.c.api_id, plans.c.name)
        .join(plans, plans.c.id == api_plans.c.plan_id)
        .where(api_plans.c.organization_id == organization_id)
        .order_by(api_plans.c.position)
    )
    if len(rows) <= 500:
        links = links.where(api_plans.c.api_id.in_([row.id for row in rows]))
    for api_id, name in connection.execute(links):
        offered[api_id].append(name)
    return [_api(row, tuple(offered[row.id])) for row in rows]


def _api_values(api: API) -> dict[str, Any]:
    return {
        "name": api.name,
        "context": api.context,
        "version": api.version,
        "base_path": api.base_path,
        "state": api.state.value,
        "backend": {"production": list(api.backend.production), "sandbox": list(api.backend.sandbox)},
        "resources": [[r.method, r.path, list(r.scopes)] for r in api.resources],
    }


def _api(row: Row[Any], offered: tuple[str, ...]) -> API:
    return API(
        id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        context=row.context,
        version=row.version,
        state=LifecycleState(row.state),
        backend=Backend(tuple(row.backend["production"]), tuple(row.backend["sandbox"])),
        plans=offered,
        resources=tuple(Resource(method, path, tuple(scopes)) for method, path, scopes in row.resources),
    )
