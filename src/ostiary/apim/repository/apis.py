"""API versions in SQL."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, or_, select, update

from ostiary.apim.backends import Backend, ClientCertificate
from ostiary.apim.exposure import CORS, AuthType, CredentialKind
from ostiary.apim.lifecycle import LifecycleState
from ostiary.apim.model import API, Resource
from ostiary.apim.paths import enclosing
from ostiary.apim.repository.rows import could_be_id, read_limit, rows_of, unique, written_limit
from ostiary.apim.tables import api_plans, apis, plans

# Composed once: putting a statement together costs more than running it.
_ALL = select(apis).where(rows_of(apis, bindparam("organization_id"))).order_by(apis.c.name, apis.c.version)
_BY_ID = _ALL.where(apis.c.id == bindparam("id"))
_VERSIONS = _ALL.where(apis.c.name == bindparam("name"))
_NAMED = _VERSIONS.where(apis.c.version == bindparam("version"))
_OVERLAPPING = _ALL.where(
    or_(
        func.substr(apis.c.base_path, 1, func.length(bindparam("under"))) == bindparam("under"),
        apis.c.base_path.in_(bindparam("same_or_over", expanding=True)),
    )
)
_DEFAULTS = _ALL.where(
    apis.c.default_version.is_(True), apis.c.context.in_(bindparam("contexts", expanding=True))
)
_LINKS = (
    select(api_plans.c.api_id, plans.c.name)
    .join(plans, plans.c.id == api_plans.c.plan_id)
    .where(api_plans.c.organization_id == bindparam("organization_id"))
    .order_by(api_plans.c.position)
)
_LINKS_OF = _LINKS.where(api_plans.c.api_id.in_(bindparam("ids", expanding=True)))
_AFTER = (
    select(apis)
    .where(rows_of(apis, bindparam("organization_id"), apis.c.id > bindparam("after")))
    .order_by(apis.c.id)
    .limit(bindparam("at_most"))
)
_INSERT = insert(apis)
_INSERT_PLANS = insert(api_plans)
_THIS = rows_of(apis, bindparam("key_organization_id"), apis.c.id == bindparam("key_id"))
_UPDATE = update(apis).where(_THIS)
_END_DEFAULT = _UPDATE.values(default_version=False)
_REMOVE_PLANS = delete(api_plans).where(
    rows_of(api_plans, bindparam("key_organization_id"), api_plans.c.api_id == bindparam("key_id"))
)


def find_api(connection: Connection, organization_id: str, api_id: str) -> API | None:
    """The API version of that identifier."""
    if not could_be_id(api_id):
        return None
    found = _read_apis(connection, organization_id, _BY_ID, id=api_id)
    return found[0] if found else None


def find_api_named(connection: Connection, organization_id: str, name: str, version: str) -> API | None:
    """The API version of that name and version."""
    found = _read_apis(connection, organization_id, _NAMED, name=name, version=version)
    return found[0] if found else None


def apis_named(connection: Connection, organization_id: str, name: str) -> list[API]:
    """Every version of the API of that name."""
    return _read_apis(connection, organization_id, _VERSIONS, name=name)


def list_apis(connection: Connection, organization_id: str) -> list[API]:
    """Every API version of the organization, by name and version."""
    return _read_apis(connection, organization_id, _ALL)


def apis_after(connection: Connection, organization_id: str, after: str, at_most: int) -> list[API]:
    """The next API versions by identifier."""
    return _read_apis(connection, organization_id, _AFTER, after=after, at_most=at_most)


def overlapping_apis(connection: Connection, organization_id: str, base_path: str) -> list[API]:
    """API versions whose resources would lie under `base_path` or enclose it, itself included."""
    around = [base_path, *enclosing(base_path)]
    return _read_apis(connection, organization_id, _OVERLAPPING, under=f"{base_path}/", same_or_over=around)


def default_versions(connection: Connection, organization_id: str, contexts: Sequence[str]) -> list[API]:
    """The default versions of these contexts."""
    return _read_apis(connection, organization_id, _DEFAULTS, contexts=list(contexts))


def end_default_version(connection: Connection, organization_id: str, api_id: str) -> None:
    """Write that a version is its context's default no more."""
    connection.execute(_END_DEFAULT, {"key_organization_id": organization_id, "key_id": api_id})


def insert_api(connection: Connection, api: API, plan_ids: Sequence[str]) -> None:
    """Write a new API version."""
    row = {"id": api.id, "organization_id": api.organization_id, **_api_values(api)}
    with unique(f"{api.name} {api.version} or its path {api.base_path} exists already"):
        connection.execute(_INSERT, row)
    _write_api_plans(connection, api, plan_ids)


def update_api(connection: Connection, api: API, plan_ids: Sequence[str]) -> None:
    """Write everything about an existing API version."""
    here = {"key_organization_id": api.organization_id, "key_id": api.id}
    with unique(f"{api.name} {api.version} or its path {api.base_path} exists already"):
        connection.execute(_UPDATE, here | _api_values(api))
    _write_api_plans(connection, api, plan_ids)


def remove_api(connection: Connection, organization_id: str, api_id: str) -> None:
    """Delete an API version that has no subscription."""
    connection.execute(
        delete(api_plans).where(rows_of(api_plans, organization_id, api_plans.c.api_id == api_id))
    )
    connection.execute(delete(apis).where(rows_of(apis, organization_id, apis.c.id == api_id)))


def _write_api_plans(connection: Connection, api: API, plan_ids: Sequence[str]) -> None:
    connection.execute(_REMOVE_PLANS, {"key_organization_id": api.organization_id, "key_id": api.id})
    rows = [
        {"organization_id": api.organization_id, "api_id": api.id, "plan_id": plan_id, "position": position}
        for position, plan_id in enumerate(plan_ids)
    ]
    if rows:
        connection.execute(_INSERT_PLANS, rows)


def _read_apis(
    connection: Connection, organization_id: str, query: Select[Any], **values: object
) -> list[API]:
    rows = connection.execute(query, {"organization_id": organization_id, **values}).all()
    if not rows:
        return []
    offered: defaultdict[str, list[str]] = defaultdict(list)
    links, these = _LINKS, dict[str, Any](organization_id=organization_id)
    if len(rows) <= 500:
        links, these = _LINKS_OF, {**these, "ids": [row.id for row in rows]}
    for api_id, name in connection.execute(links, these):
        offered[api_id].append(name)
    return [_api(row, tuple(offered[row.id])) for row in rows]


def _api_values(api: API) -> dict[str, Any]:
    return {
        "name": api.name,
        "context": api.context,
        "version": api.version,
        "base_path": api.base_path,
        "state": api.state.value,
        "backend": _backend_value(api.backend),
        "resources": [_written(resource) for resource in api.resources],
        "limited_to": written_limit(api.limit),
        "security": list(api.security),
        "cors": None if api.cors == CORS() else asdict(api.cors),
        "default_version": api.default_version,
        "assertion_claims": list(api.assertion_claims) or None,
    }


def _backend_value(backend: Backend) -> dict[str, Any]:
    value: dict[str, Any] = {"production": list(backend.production), "sandbox": list(backend.sandbox)}
    value |= backend.options
    if backend.client_certificate is not None:
        mine = backend.client_certificate
        value["client_certificate"] = {"certificate": mine.certificate, "sealed_key": mine.sealed_key}
    return value


def _backend(value: dict[str, Any]) -> Backend:
    said = dict(value)
    production, sandbox = tuple(said.pop("production")), tuple(said.pop("sandbox"))
    mine = said.pop("client_certificate", None)
    certificate = None if mine is None else ClientCertificate(**mine)
    return Backend(production, sandbox, **said, client_certificate=certificate)


def _cors(said: dict[str, Any] | None) -> CORS:
    if said is None:
        return CORS()
    return CORS(
        enabled=said["enabled"],
        origins=tuple(said["origins"]),
        methods=tuple(said["methods"]),
        headers=tuple(said["headers"]),
        credentials=said["credentials"],
    )


def _api(row: Row[Any], offered: tuple[str, ...]) -> API:
    return API(
        id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        context=row.context,
        version=row.version,
        state=LifecycleState(row.state),
        backend=_backend(row.backend),
        plans=offered,
        resources=tuple(_resource(*said) for said in row.resources),
        limit=read_limit(row.limited_to),
        security=tuple(map(CredentialKind, row.security or ["oauth2"])),
        cors=_cors(row.cors),
        default_version=row.default_version,
        assertion_claims=tuple(row.assertion_claims or ()),
    )


def _written(resource: Resource) -> list[Any]:
    return [
        resource.method,
        resource.path,
        list(resource.scopes),
        resource.auth.value,
        written_limit(resource.limit),
    ]


def _resource(
    method: str, path: str, scopes: list[str], auth: str = "any", limit: tuple[int, str] | None = None
) -> Resource:
    """A resource from its JSON, which was shorter once."""
    return Resource(method, path, tuple(scopes), read_limit(limit), AuthType(auth))
