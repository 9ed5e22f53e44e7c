"""References of a file to what neither it nor the organization has.

A reference that the thing has already, to what is gone since, is no mistake of the file: it says what is.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from ostiary.apim import BUILT_IN
from ostiary.declarative.complaints import Complaint, Path, did_you_mean
from ostiary.declarative.consistency import keys_of, resources_of
from ostiary.declarative.current import resource_text, subscription_name
from ostiary.declarative.plan import Kind, State
from ostiary.declarative.schema import ApplicationPart, OrganizationFile
from ostiary.identity import PRIMARY
from ostiary.permissions import BUILT_IN_ROLES, EVERYONE_ROLE

_MOST_LISTED = 20


def dangling(
    file: OrganizationFile, state: State, staying: State, api_plans: Mapping[str, tuple[str, ...]]
) -> Iterator[Complaint]:
    """References to what neither the file nor the organization has.

    `staying`: the state without what is pruned. `api_plans`: the plans of every API version that
    subscriptions may name, by name and version.
    """
    roles = {*(role.name for role in file.roles), *staying.get(Kind.ROLE, {}), *BUILT_IN_ROLES}
    scopes = {*(scope.name for scope in file.scopes), *staying.get(Kind.SCOPE, {})}
    plans = {*BUILT_IN, *(plan.name for plan in file.plans), *staying.get(Kind.PLAN, {})}
    for user_index, user in enumerate(file.users):
        yield from _unknown("role", user.roles or (), roles - {EVERYONE_ROLE}, ("users", user_index, "roles"))
    for scope_index, scope in enumerate(file.scopes):
        known = roles | _gone(state, Kind.ROLE, _held(state, Kind.SCOPE, scope.name, "roles"))
        yield from _unknown("role", scope.roles or (), known, ("scopes", scope_index, "roles"))
    for api_index, api in enumerate(file.apis):
        yield from _unknown("plan", api.plans, plans, ("apis", api_index, "plans"))
        key = "openapi" if api.resources is None else "resources"
        before = _held(state, Kind.API, f"{api.name} {api.version}", "resources")
        for position, resource in enumerate(resources_of(api)):
            where = ("apis", api_index, key, position, "scopes")
            text = resource_text(
                resource.method, resource.path, resource.scopes, resource.auth, resource.limit
            )
            known = scopes | _gone(state, Kind.SCOPE, resource.scopes if text in before else ())
            yield from _unknown("scope", resource.scopes, known, where)
    stores = {PRIMARY, *(store.name for store in file.user_stores), *staying.get(Kind.USER_STORE, {})}
    for application_index, application in enumerate(file.applications):
        for kind, keys in keys_of(application):
            here: Path = ("applications", application_index, "keys", kind, "user_stores")
            yield from _unknown("user store", keys.user_stores or (), stores, here)
        yield from _dangling_in_application(application, ("applications", application_index), scopes, state)
        yield from _dangling_subscriptions(
            application, ("applications", application_index), plans, api_plans, state
        )


def _held(state: State, kind: Kind, name: str, attribute: str) -> Collection[str]:
    """What a thing has now in a list of its own."""
    actual = state.get(kind, {}).get(name)
    return (actual.picture[attribute] if actual else None) or ()


def _gone(state: State, kind: Kind, values: Collection[str]) -> set[str]:
    """Those of the values that nothing has the name of now."""
    return {value for value in values if value not in state.get(kind, {})}


def _dangling_in_application(
    application: ApplicationPart, path: Path, scopes: set[str], state: State
) -> Iterator[Complaint]:
    for kind, keys in keys_of(application):
        for listing, values in (("scopes", keys.scopes or []), ("default_scope", keys.default_scope)):
            ours = {value for value in values if _is_ours(value)}
            held = _gone(state, Kind.SCOPE, _held(state, Kind.CLIENT, keys.client_id, listing))
            yield from _unknown("scope", values, scopes | ours | held, (*path, "keys", kind, listing))


def _dangling_subscriptions(
    application: ApplicationPart,
    path: Path,
    plans: set[str],
    api_plans: Mapping[str, tuple[str, ...]],
    state: State,
) -> Iterator[Complaint]:
    for position, part in enumerate(application.subscriptions or ()):
        here = (*path, "subscriptions", position)
        offered = api_plans.get(f"{part.api} {part.version}")
        if offered is None:
            known_apis = sorted(api_plans)
            hint = did_you_mean(f"{part.api} {part.version}", known_apis)
            yield Complaint(
                (*here, "api"), repr(f"{part.api} {part.version}"), "an API and version there is", hint
            )
        else:
            name = subscription_name(application.name, part.api, part.version)
            held = state.get(Kind.SUBSCRIPTION, {}).get(name)
            known = {*offered, *([held.picture["plan"]] if held else ())} & plans
            yield from _unknown("plan", [part.plan], known, here, single="plan")


def _is_ours(scope: str) -> bool:
    return scope in ("openid", "SYSTEM") or scope.startswith("internal_")


def _unknown(
    noun: str, values: Sequence[str], known: set[str], path: Path, single: str = ""
) -> Iterator[Complaint]:
    for position, value in enumerate(values):
        if value not in known:
            where = (*path, single) if single else (*path, position)
            expected = f"a {noun} there is: {_listed(sorted(known))}"
            yield Complaint(where, repr(value), expected, did_you_mean(value, known))


def _listed(names: Sequence[str]) -> str:
    """The names, as far as one line should have them: a complaint is not an inventory."""
    shown = ", ".join(names[:_MOST_LISTED]) or "none so far"
    return f"{shown} and {len(names) - _MOST_LISTED:,} more" if len(names) > _MOST_LISTED else shown
