"""Publishing: which API versions exist, where they lead and in which state they are.

Every function works in the transaction it is given and tells the gateway in it.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ostiary.apim import repository
from ostiary.apim.backends import Backend, check_names, client_key_context, settled
from ostiary.apim.errors import Conflict, Invalid, NotFound
from ostiary.apim.exposure import CORS, USUAL_CORS, CredentialKind
from ostiary.apim.lifecycle import LifecycleState, step, walk
from ostiary.apim.limits import Limit
from ostiary.apim.model import API, Resource, check_api, known_scopes
from ostiary.apim.paths import enclosing
from ostiary.apim.plans import plans_named
from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.http_client import OutboundPolicy, OutboundRefused
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox
from ostiary.oauth import registered_scopes


@dataclass(frozen=True, slots=True)
class APISpec:
    """What a publisher says about an API version; `state` None keeps it, or is CREATED for a new one."""

    name: str
    context: str
    version: str
    backend: Backend
    plans: tuple[str, ...]
    resources: tuple[Resource, ...]
    state: LifecycleState | None = None
    limit: Limit | None = None
    security: tuple[CredentialKind, ...] = (CredentialKind.OAUTH2,)
    cors: CORS = USUAL_CORS
    default_version: bool = False
    assertion_claims: tuple[str, ...] = ()


def check_spec(organization_id: str, spec: APISpec, known: API | None, policy: OutboundPolicy) -> API:
    """What an API version, new or known, would become; checks everything that needs no other row.

    Raises:
        Invalid: a value that cannot be, or an address we do not call.
        TransitionRefused: the state cannot be reached.
    """
    current = known.state if known else LifecycleState.CREATED
    api = check_api(_made(known.id if known else new_id(), organization_id, spec, current))
    _check_addresses(api, policy)
    return api


def path_taken(api: API, other: API) -> Conflict:
    """What is said where an API version would lie over, under or at another's path."""
    where = f"{other.name} {other.version} at {other.base_path}"
    return Conflict(f"the path {api.base_path} is taken by or overlaps {where}")


def create_api(
    connection: Connection,
    organization_id: str,
    spec: APISpec,
    policy: OutboundPolicy,
    box: SecretBox | None = None,
) -> API:
    """Add an API version and bring it to the state asked for; `box` seals the key of a client certificate.

    Raises:
        Invalid: a value that cannot be, an unknown plan or scope, an address we do not call.
        Conflict: the name and version, or the path, are taken.
        TransitionRefused: no new API version can have that state.
    """
    api = check_api(_made(new_id(), organization_id, spec, LifecycleState.CREATED))
    api = replace(api, backend=settled(api.backend, None, box, client_key_context(api.id)))
    _refuse_taken_name(connection, api)
    return _write(connection, api, policy, None)


def change_api(
    connection: Connection,
    organization_id: str,
    api_id: str,
    spec: APISpec,
    policy: OutboundPolicy,
    box: SecretBox | None = None,
) -> API:
    """Replace everything the publisher says about an API version; name and version stay.

    A client certificate without a key keeps the one there is, unless the addresses change.

    Raises:
        NotFound: the organization has no such API version.
        Invalid: as in `create_api`, or another name or version.
        Conflict: the path is taken.
        TransitionRefused: the state cannot be reached.
    """
    found = get_api(connection, organization_id, api_id)
    changed = check_api(_made(api_id, organization_id, spec, found.state))
    backend = settled(changed.backend, found.backend, box, client_key_context(api_id))
    changed = replace(changed, backend=backend)
    if (changed.name, changed.version) != (found.name, found.version):
        raise Invalid("name", f"{spec.name} {spec.version}", f"{found.name} {found.version}, which stay")
    return found if changed == found else _write(connection, changed, policy, found)


def change_state(connection: Connection, organization_id: str, api_id: str, wanted: LifecycleState) -> API:
    """Take one step of the life cycle.

    Raises:
        NotFound: the organization has no such API version.
        TransitionRefused: there is no such step.
        Invalid: the API lacks what the state needs.
    """
    found = get_api(connection, organization_id, api_id)
    changed = check_api(replace(found, state=step(found.state, wanted)))
    if changed != found:
        repository.update_api(connection, changed, _plan_ids(connection, changed))
        record(connection, Event("api", organization_id, api_id))
        audit.note(connection, organization_id, "api", api_id, found, changed)
    return changed


def delete_api(connection: Connection, organization_id: str, api_id: str) -> None:
    """Remove an API version nobody is subscribed to.

    Raises:
        NotFound: the organization has no such API version.
        Conflict: it has subscriptions.
    """
    found = get_api(connection, organization_id, api_id)
    count = len(repository.subscriptions_to_api(connection, organization_id, api_id))
    if count:
        raise Conflict(f"{found.name} {found.version} has {count} subscriptions; retire it instead")
    forget_deny_policies(connection, organization_id, api_id)
    repository.remove_api(connection, organization_id, api_id)
    record(connection, Event("api", organization_id, api_id))
    audit.note(connection, organization_id, "api", api_id, found, None)


def forget_deny_policies(connection: Connection, organization_id: str, value: str) -> None:
    """Remove the deny policies about a thing that goes."""
    for policy in repository.deny_policies_about(connection, organization_id, value):
        repository.remove_deny_policy(connection, organization_id, policy.id)
        record(connection, Event("denial", organization_id, policy.id))
        audit.note(connection, organization_id, "deny_policy", policy.id, policy, None)


def get_api(connection: Connection, organization_id: str, api_id: str) -> API:
    """The API version of that identifier.

    Raises:
        NotFound: the organization has no such API version.
    """
    found = repository.find_api(connection, organization_id, api_id)
    if found is None:
        raise NotFound("API", api_id)
    return found


def _made(api_id: str, organization_id: str, spec: APISpec, current: LifecycleState) -> API:
    wanted = spec.state or current
    walk(current, wanted)
    return API(
        id=api_id,
        organization_id=organization_id,
        name=spec.name,
        context=spec.context,
        version=spec.version,
        state=wanted,
        backend=spec.backend,
        plans=spec.plans,
        resources=spec.resources,
        limit=spec.limit,
        security=spec.security,
        cors=spec.cors,
        default_version=spec.default_version,
        assertion_claims=spec.assertion_claims,
    )


def _write(connection: Connection, api: API, policy: OutboundPolicy, found: API | None) -> API:
    _check_addresses(api, policy)
    _check_scopes(connection, api)
    _refuse_taken_path(connection, api)
    if api.default_version:
        _take_over_default(connection, api)
    plan_ids = _plan_ids(connection, api)
    (repository.update_api if found else repository.insert_api)(connection, api, plan_ids)
    record(connection, Event("api", api.organization_id, api.id))
    audit.note(connection, api.organization_id, "api", api.id, found, api)
    return api


def _plan_ids(connection: Connection, api: API) -> list[str]:
    if len(set(api.plans)) < len(api.plans):
        raise Invalid("plans", ", ".join(map(repr, api.plans)), "each plan once")
    return [plan.id for plan in plans_named(connection, api.organization_id, api.plans)]


def _check_addresses(api: API, policy: OutboundPolicy) -> None:
    for address in api.backend.addresses:
        try:
            policy.check_url(address)
        except OutboundRefused as error:
            raise Invalid("backend", repr(address), f"an address we may call: {error}") from None
    check_names(api.backend)


def _check_scopes(connection: Connection, api: API) -> None:
    wanted = known_scopes(api.resources)
    known = registered_scopes(connection, api.organization_id, wanted)
    for scope in wanted:
        if scope not in known:
            raise Invalid("scopes", repr(scope), "a scope of this organization; no such scope is registered")


def _refuse_taken_name(connection: Connection, api: API) -> None:
    if repository.find_api_named(connection, api.organization_id, api.name, api.version):
        raise Conflict(f"there is an API {api.name} {api.version} already")


def _refuse_taken_path(connection: Connection, api: API) -> None:
    for other in repository.overlapping_apis(connection, api.organization_id, api.base_path):
        if other.id != api.id:
            raise path_taken(api, other)
    for other in repository.default_versions(connection, api.organization_id, enclosing(api.base_path)):
        if other.context != api.context:
            raise Conflict(
                f"{api.base_path} lies under {other.context}, whose default version takes all of it"
            )


def _take_over_default(connection: Connection, api: API) -> None:
    """Make this version its context's default: no path under the context may be another API's by then."""
    here = api.organization_id
    for other in repository.overlapping_apis(connection, here, api.context):
        if other.context != api.context:
            raise Conflict(
                f"no default version at {api.context}: {other.base_path} of {other.name} lies there"
            )
    for other in repository.default_versions(connection, here, (api.context,)):
        if other.id != api.id:
            repository.end_default_version(connection, here, other.id)
            record(connection, Event("api", here, other.id))
            was, now = {"default_version": True}, {"default_version": False}
            audit.note(connection, here, "api", other.id, was, now)
