"""References of a file to what neither it nor the organization has."""

from collections.abc import Iterator, Mapping, Sequence

from ostiary.apim import BUILT_IN
from ostiary.declarative.complaints import Complaint, Path, did_you_mean
from ostiary.declarative.consistency import keys_of, resources_of
from ostiary.declarative.plan import Kind, State
from ostiary.declarative.schema import ApplicationPart, OrganizationFile
from ostiary.identity import PRIMARY
from ostiary.permissions import BUILT_IN_ROLES, EVERYONE_ROLE

_MOST_LISTED = 20


def dangling(
    file: OrganizationFile, state: State, api_plans: Mapping[str, tuple[str, ...]]
) -> Iterator[Complaint]:
    """References to what neither the file nor the organization has.

    `api_plans`: the plans of every API version that subscriptions may name, by name and version.
    """
    roles = {*(role.name for role in file.roles), *state.get(Kind.ROLE, {}), *BUILT_IN_ROLES}
    scopes = {*(scope.name for scope in file.scopes), *state.get(Kind.SCOPE, {})}
    plans = {*BUILT_IN, *(plan.name for plan in file.plans), *state.get(Kind.PLAN, {})}
    for user_index, user in enumerate(file.users):
        yield from _unknown("role", user.roles or (), roles - {EVERYONE_ROLE}, ("users", user_index, "roles"))
    for scope_index, scope in enumerate(file.scopes):
        yield from _unknown("role", scope.roles or (), roles, ("scopes", scope_index, "roles"))
    for api_index, api in enumerate(file.apis):
        yield from _unknown("plan", api.plans, plans, ("apis", api_index, "plans"))
        key = "openapi" if api.resources is None else "resources"
        for position, resource in enumerate(resources_of(api)):
            where = ("apis", api_index, key, position, "scopes")
            yield from _unknown("scope", resource.scopes, scopes, where)
    stores = {PRIMARY, *(store.name for store in file.user_stores), *state.get(Kind.USER_STORE, {})}
    for application_index, application in enumerate(file.applications):
        for kind, keys in keys_of(application):
            here: Path = ("applications", application_index, "keys", kind, "user_stores")
            yield from _unknown("user store", keys.user_stores or (), stores, here)
        yield from _dangling_in_application(
            application, ("applications", application_index), scopes, api_plans
        )


def _dangling_in_application(
    application: ApplicationPart, path: Path, scopes: set[str], api_plans: Mapping[str, tuple[str, ...]]
) -> Iterator[Complaint]:
    for kind, keys in keys_of(application):
        for listing, values in (("scopes", keys.scopes or []), ("default_scope", keys.default_scope)):
            known = scopes | {value for value in values if _is_ours(value)}
            yield from _unknown("scope", values, known, (*path, "keys", kind, listing))
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
            yield from _unknown("plan", [part.plan], set(offered), here, single="plan")


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
