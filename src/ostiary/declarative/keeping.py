"""What may not be removed: something that stays would refer to nothing, or nobody could administer.

The file's own references are `dangling`'s to judge. Here it is what the file does not speak of: it stays as
it is, so what it needs stays too.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ostiary import apim, oauth, permissions
from ostiary.declarative.plan import Action, Change, Kind
from ostiary.declarative.writing import Work
from ostiary.organizations import DEFAULT_ORGANIZATION
from ostiary.permissions import ADMIN_ROLE

_MOST_NAMED = 10


class LastAdministrator(apim.Conflict):
    """The change would leave nobody who may administer the installation."""

    def __init__(self) -> None:
        super().__init__(
            f"the role {ADMIN_ROLE} of the organization {DEFAULT_ORGANIZATION} must keep a user or client"
        )


@dataclass(frozen=True, slots=True)
class After:
    """What the changes of one file remove; and what there is that could need it, by name."""

    gone: Mapping[Kind, frozenset[str]]
    apis: Mapping[str, apim.API]
    subscriptions: Mapping[str, apim.Subscription]

    @classmethod
    def of(cls, work: Work, changes: tuple[Change, ...]) -> "After":
        """Collect what is removed; reads nothing where nothing is."""
        removed = [change for change in changes if change.action is Action.REMOVE]
        gone = {kind: frozenset(c.name for c in removed if c.kind is kind) for kind in Kind}
        if not any(gone[kind] for kind in (Kind.PLAN, Kind.SCOPE, Kind.API)):
            return cls(gone, {}, {})
        connection, here = work.connection, work.organization_id
        apis = apim.list_apis(connection, here)
        names = {api.id: f"{api.name} {api.version}" for api in apis}
        applications = {one.id: one.name for one in apim.list_applications(connection, here)}
        subscriptions = {
            f"{applications[one.application_id]} > {names[one.api_id]}": one
            for one in apim.list_subscriptions(connection, here)
        }
        return cls(gone, {names[api.id]: api for api in apis}, subscriptions)

    def is_unsaid(self, work: Work, kind: Kind, name: str) -> bool:
        """Whether a thing stays as it is because the file says nothing of it."""
        return name not in self.gone[kind] and name not in work.wishes[kind]


def check_removal(work: Work, change: Change, after: After) -> None:
    """Refuse to remove what something that stays needs.

    Raises:
        Conflict: says what needs it, and what to do.
    """
    users = _NEEDED_BY.get(change.kind, _nothing)(work, change.name, after)
    needing = sorted(set(users))
    if needing:
        more = f" and {len(needing) - _MOST_NAMED} more" if len(needing) > _MOST_NAMED else ""
        named = f"{', '.join(needing[:_MOST_NAMED])}{more}"
        raise apim.Conflict(
            f"the {change.kind} {change.name} is not in the file and is needed by {named}: "
            f"{_ADVICE.get(change.kind, 'change that first, or list it')}"
        )
    if change.kind in (Kind.CLIENT, Kind.USER_STORE) and not _is_administered(work, after):
        raise LastAdministrator


def _is_administered(work: Work, after: After) -> bool:
    """Whether the installation keeps an administrator, if it had one."""
    if work.file.organization.name != DEFAULT_ORGANIZATION:
        return True
    role = permissions.find_role(work.connection, work.organization_id, ADMIN_ROLE)
    wished = work.wishes[Kind.ROLE].get(ADMIN_ROLE)
    had = [str(member) for member in role.members if member.kind != "group"] if role else []
    users = wished.picture["users"] if wished else _members(role, "user")
    clients = wished.picture["clients"] if wished else _members(role, "client")
    stores = (user.rpartition("/")[0] for user in users)  # PRIMARY is not written, and does not go
    kept = any(store not in after.gone[Kind.USER_STORE] for store in stores)
    return not had or kept or any(client not in after.gone[Kind.CLIENT] for client in clients)


def _members(role: permissions.Role | None, kind: str) -> list[str]:
    return [str(member) for member in role.members if member.kind == kind] if role else []


def _nothing(_work: Work, _name: str, _after: After) -> Iterator[str]:
    yield from ()


def _of_user_store(work: Work, name: str, after: After) -> Iterator[str]:
    connection, here = work.connection, work.organization_id
    for client_id in oauth.clients_asking(connection, here, name):
        if after.is_unsaid(work, Kind.CLIENT, client_id):
            yield f"the client {client_id}"
    for application in apim.list_applications(connection, here):
        if application.owner.startswith(f"{name}/") and after.is_unsaid(
            work, Kind.APPLICATION, application.name
        ):
            yield f"the application {application.name} ({application.owner})"


def _of_plan(work: Work, name: str, after: After) -> Iterator[str]:
    for called, api in after.apis.items():
        if name in api.plans and after.is_unsaid(work, Kind.API, called):
            yield f"the api {called}"
    for called, subscription in after.subscriptions.items():
        if subscription.plan == name and after.is_unsaid(work, Kind.SUBSCRIPTION, called):
            yield f"the subscription {called}"


def _of_role(work: Work, name: str, after: After) -> Iterator[str]:
    for scope in oauth.list_scopes(work.connection, work.organization_id):
        if name in scope.roles and after.is_unsaid(work, Kind.SCOPE, scope.name):
            yield f"the scope {scope.name}"


def _of_scope(work: Work, name: str, after: After) -> Iterator[str]:
    for called, api in after.apis.items():
        asked = any(name in resource.scopes for resource in api.resources)
        if asked and after.is_unsaid(work, Kind.API, called):
            yield f"the api {called}"


def _of_api(_work: Work, name: str, after: After) -> Iterator[str]:
    for called in after.subscriptions:
        application, _, api = called.partition(" > ")
        goes = called in after.gone[Kind.SUBSCRIPTION] or application in after.gone[Kind.APPLICATION]
        if api == name and not goes:
            yield f"the subscription {called}"


_NEEDED_BY: Final[Mapping[Kind, Callable[[Work, str, After], Iterator[str]]]] = {
    Kind.USER_STORE: _of_user_store,
    Kind.PLAN: _of_plan,
    Kind.ROLE: _of_role,
    Kind.SCOPE: _of_scope,
    Kind.API: _of_api,
}
"""What needs a thing of that kind and is to stay, by name."""

_ADVICE: Final[Mapping[Kind, str]] = {
    Kind.API: "list the subscriptions of its applications without it, or list it with state RETIRED",
    Kind.USER_STORE: "change that first, or list it with enabled: false",
}
"""What to do; for other kinds see above."""
