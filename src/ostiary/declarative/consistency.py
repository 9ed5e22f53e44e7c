"""Rules between the parts of one file: nothing twice, and nothing half said."""

from collections.abc import Callable, Iterable, Iterator

from ostiary.apim import BUILT_IN, claim_in_dialect, enclosing, shape
from ostiary.declarative.complaints import Complaint, Path, did_you_mean
from ostiary.declarative.schema import APIPart, ApplicationPart, KeysPart, OrganizationFile, ResourcePart
from ostiary.organizations import DEFAULT_ORGANIZATION
from ostiary.permissions import ADMIN_ROLE, EVERYONE_ROLE, NODES, PROTECTED

Rule = Callable[[OrganizationFile], Iterator[Complaint]]


def inconsistencies(file: OrganizationFile) -> list[Complaint]:
    """Every breach of every rule, in the order of the rules."""
    return [complaint for rule in RULES for complaint in rule(file)]


def _names_once(file: OrganizationFile) -> Iterator[Complaint]:
    listings: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("user_stores", "name", (store.name for store in file.user_stores)),
        ("users", "username", (user.username.casefold() for user in file.users)),
        ("roles", "name", (role.name for role in file.roles)),
        ("scopes", "name", (scope.name for scope in file.scopes)),
        ("plans", "name", (plan.name for plan in file.plans)),
        ("apis", "name", (f"{api.name} {api.version}" for api in file.apis)),
        ("applications", "name", (application.name for application in file.applications)),
    )
    for listing, key, names in listings:
        yield from _twice(names, (listing,), (key,))


def _base_paths_once(file: OrganizationFile) -> Iterator[Complaint]:
    at: dict[str, APIPart] = {}
    over: dict[str, APIPart] = {}  # every path that encloses one of `at`, with one it encloses
    for index, api in enumerate(file.apis):
        base = f"{api.context}/{api.version}"
        above = enclosing(base)
        holder = next((at[path] for path in (base, *above) if path in at), over.get(base))
        if holder is not None:
            other = f"{holder.context}/{holder.version}"
            taken = f"a path apart from {other}, which is that of {holder.name} {holder.version}"
            yield Complaint(("apis", index, "context"), repr(base), taken)
        at[base] = api
        over |= dict.fromkeys(above, api)


def _resources_once(file: OrganizationFile) -> Iterator[Complaint]:
    for index, api in enumerate(file.apis):
        key = "openapi" if api.resources is None else "resources"
        seen: set[tuple[str, str]] = set()
        for position, resource in enumerate(resources_of(api)):
            same = (resource.method, shape(resource.path))
            if same in seen:
                found = f"{resource.method} {resource.path} a second time"
                yield Complaint(("apis", index, key, position), found, "each method and path template once")
            seen.add(same)


def _apis_complete(file: OrganizationFile) -> Iterator[Complaint]:
    for index, api in enumerate(file.apis):
        here: Path = ("apis", index)
        if (api.resources is None) == (api.openapi is None):
            found = "neither" if api.resources is None else "both"
            yield Complaint(here, found, "either 'resources' or 'openapi'")
        if api.state in ("CREATED", "RETIRED"):
            continue
        if not (api.backend.production or api.backend.sandbox):
            yield Complaint(here, "no backend", f"at least one backend URL, because the state is {api.state}")
        if not api.plans and api.state != "PROTOTYPED":
            yield Complaint(here, "no plan", f"at least one plan, because the state is {api.state}")
        if api.resources == []:
            yield Complaint(here, "no resource", f"at least one resource, because the state is {api.state}")
        yield from _twice(api.plans, (*here, "plans"))


def _claims_once(file: OrganizationFile) -> Iterator[Complaint]:
    for index, api in enumerate(file.apis):
        names = map(claim_in_dialect, api.assertion.claims)
        yield from _twice(names, ("apis", index, "assertion", "claims"))


def _clients_once(file: OrganizationFile) -> Iterator[Complaint]:
    holders: dict[str, str] = {}
    for index, application in enumerate(file.applications):
        for kind, keys in keys_of(application):
            if keys.client_id in holders:
                expected = f"it once (it is of {holders[keys.client_id]} too)"
                path = ("applications", index, "keys", kind, "client_id")
                yield Complaint(path, f"{keys.client_id!r} a second time", expected)
            holders.setdefault(keys.client_id, application.name)


def keys_of(application: ApplicationPart) -> Iterator[tuple[str, KeysPart]]:
    """An application's clients with the key of the file they stand under."""
    for kind, keys in (("production", application.keys.production), ("sandbox", application.keys.sandbox)):
        if keys is not None:
            yield kind, keys


def resources_of(api: APIPart) -> list[ResourcePart]:
    """The resources, said one by one or by an OpenAPI document."""
    return (api.openapi if api.resources is None else api.resources) or []


def _subscriptions_once(file: OrganizationFile) -> Iterator[Complaint]:
    for index, application in enumerate(file.applications):
        names = [f"{s.api} {s.version}" for s in application.subscriptions or []]
        yield from _twice(names, ("applications", index, "subscriptions"))


def _plans_said(file: OrganizationFile) -> Iterator[Complaint]:
    for index, plan in enumerate(file.plans):
        if plan.name in BUILT_IN:
            taken = f"a name other than {', '.join(BUILT_IN)}, which are built in"
            yield Complaint(("plans", index, "name"), repr(plan.name), taken)
        if plan.requests is None and plan.bandwidth is None:
            yield Complaint(("plans", index), "no limit", "'requests', 'bandwidth' or both")


def _roles_said(file: OrganizationFile) -> Iterator[Complaint]:
    in_default = file.organization.name == DEFAULT_ORGANIZATION
    known = {node for node in NODES if in_default or not node.startswith(PROTECTED)}
    for index, role in enumerate(file.roles):
        if role.name == ADMIN_ROLE and role.permissions:
            expected = "no permissions, because the role is built in and has them all"
            yield Complaint(("roles", index, "permissions"), ", ".join(role.permissions), expected)
            continue
        for key in ("users", "groups", "clients"):
            if role.name == EVERYONE_ROLE and getattr(role, key):
                expected = "no members, because every user has this role and nobody else"
                yield Complaint(("roles", index, key), ", ".join(getattr(role, key)), expected)
        for position, node in enumerate(role.permissions or ()):
            if node not in known:
                yield Complaint(("roles", index, "permissions", position), node, _nearest(node, known))


def _nearest(node: str, known: set[str]) -> str:
    if node.startswith(PROTECTED):
        return (
            f"a node below /permission/admin: {PROTECTED} belongs to the organization {DEFAULT_ORGANIZATION}"
        )
    return f"a node of the permission tree, as `ostiary scopes list` shows it{did_you_mean(node, known)}"


def _scopes_said(file: OrganizationFile) -> Iterator[Complaint]:
    for index, scope in enumerate(file.scopes):
        if scope.everyone == (scope.roles is not None):
            found = "both" if scope.everyone else "neither"
            yield Complaint(("scopes", index), found, "'roles' ([] is nobody) or 'everyone: true'")


def _twice(names: Iterable[str], before: Path, after: Path = ()) -> Iterator[Complaint]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            expected = f"it once (it is entry {first[name] + 1} too)"
            yield Complaint((*before, index, *after), f"{name!r} a second time", expected)
        first.setdefault(name, index)


RULES: tuple[Rule, ...] = (
    _names_once,
    _roles_said,
    _scopes_said,
    _plans_said,
    _apis_complete,
    _resources_once,
    _base_paths_once,
    _claims_once,
    _clients_once,
    _subscriptions_once,
)
