"""What the slices would refuse, found without writing: before the one transaction that takes the writer.

A dry run is this and nothing more. It foresees every refusal but that of a client which is to change
places between two applications that the same apply changes, and what others do meanwhile.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ostiary import apim, identity, oauth
from ostiary.declarative.complaints import Complaint
from ostiary.declarative.keeping import After, LastAdministrator, check_removal
from ostiary.declarative.plan import Action, Change, Kind
from ostiary.declarative.writing import (
    REFUSALS,
    Work,
    api_spec,
    client_spec,
    complaint_of,
    deny_spec,
    scope_spec,
    user_store_spec,
)
from ostiary.organizations import DEFAULT_ORGANIZATION
from ostiary.permissions import ADMIN_ROLE


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients that this apply has made and removed so far, over all of its files."""

    made: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)


def foresee(work: Work, changes: tuple[Change, ...], clients: Clients) -> list[Complaint]:
    """Everything that the slices would refuse; the organization may be one that is still to be made."""
    moving = {c.name: place for place, c in enumerate(changes) if c.kind is Kind.API}
    complaints: list[Complaint] = []
    after = After.of(work, changes)
    for change in changes:
        try:
            if change.action is Action.REMOVE:
                check_removal(work, change, after)
                clients.removed.update({change.name} if change.kind is Kind.CLIENT else ())
            elif change.kind is Kind.CLIENT:
                _client(work, change, clients)
            elif change.kind is Kind.API:
                _api(work, change, moving)
            elif change.kind in _CHECKS:
                _CHECKS[change.kind](work, change)
        except REFUSALS as error:
            complaints.append(complaint_of(work, change, error))
    return complaints


def _user_store(work: Work, change: Change) -> None:
    identity.check_spec(user_store_spec(work, change), work.tools.policy)


def _role(work: Work, change: Change) -> None:
    """Nobody locks the installation's administrators out with a file."""
    if change.name != ADMIN_ROLE or work.file.organization.name != DEFAULT_ORGANIZATION:
        return
    after = work.wish(change).picture
    before = {detail.attribute: detail.before for detail in change.details}
    had = any(before.get(key, after[key]) for key in ("users", "clients"))
    if had and not (after["users"] or after["clients"]):
        raise LastAdministrator


def _user(work: Work, change: Change) -> None:
    identity.check_claims(work.wish(change).picture["claims"])


def _scope(work: Work, change: Change) -> None:
    oauth.check_scope(scope_spec(work, change))


def _api(work: Work, change: Change, moving: Mapping[str, int]) -> None:
    spec = api_spec(work, change)
    known = apim.find_api_named(work.connection, work.organization_id, spec.name, spec.version)
    api = apim.check_spec(work.organization_id, spec, known, work.tools.policy)
    for other in apim.overlapping_apis(work.connection, work.organization_id, api.base_path):
        name = f"{other.name} {other.version}"
        if name != change.name and moving.get(name, len(moving)) > moving[change.name]:
            raise apim.path_taken(api, other)  # those that move earlier are elsewhere by then


def _application(work: Work, change: Change) -> None:
    owner = work.wish(change).picture["owner"]
    if owner not in work.wishes[Kind.USER]:
        apim.check_owner(work.connection, work.organization_id, owner)


def _client(work: Work, change: Change, clients: Clients) -> None:
    spec = client_spec(work, change)
    free = change.name in clients.removed - clients.made
    if change.name in clients.made:
        raise oauth.ClientIdTaken(change.name)
    if free:
        oauth.check_spec(spec)
    else:
        oauth.check_client(work.connection, work.organization_id, spec)
    moved = {d.attribute: d.before for d in change.details if d.attribute in ("application", "key_type")}
    if change.action is Action.CHANGE and any(moved.values()) and not free:
        raise apim.Conflict(f"the client {change.name} belongs to another application")
    clients.made.add(change.name)


def _subscription(work: Work, change: Change) -> None:
    application = work.application(change)
    wanted = (application.subscriptions or [])[int(work.wish(change).path[-1])]
    if change.action is not Action.ADD:
        return
    name = f"{wanted.api} {wanted.version}"
    said = work.wishes[Kind.API].get(name)
    if said is not None:
        apim.check_subscribable(name, said.picture["state"])
        return
    api = apim.find_api_named(work.connection, work.organization_id, wanted.api, wanted.version)
    if api is not None:
        apim.check_subscribable(name, api.state)


def _deny_policy(work: Work, change: Change) -> None:
    if change.action is not Action.ADD:
        return
    spec = deny_spec(work, change)
    _, _, value = change.name.partition(" ")
    paths = {f"{api.context}/{api.version}" for api in work.file.apis}
    wished = work.wishes[Kind.APPLICATION].items()
    applications = {f"{wish.picture['owner']}:{name}" for name, wish in wished if not wish.gone}
    if value not in paths | applications and (spec.invert or spec.condition in ("APPLICATION", "API")):
        kept = apim.canonical_value(work.connection, work.organization_id, spec)
        if _goes(work, spec.condition, kept):
            raise apim.Invalid("value", repr(spec.value), "something that this file does not prune")


def _goes(work: Work, condition: apim.DenyCondition, identifier: str) -> bool:
    """Whether what a deny policy is about is gone once the file is applied."""
    if condition is apim.DenyCondition.API:
        api = apim.get_api(work.connection, work.organization_id, identifier)
        wish = work.wishes[Kind.API].get(f"{api.name} {api.version}")
    elif condition is apim.DenyCondition.APPLICATION:
        application = apim.find_application(work.connection, work.organization_id, identifier)
        wish = work.wishes[Kind.APPLICATION].get(application.name) if application else None
    else:
        return False
    return wish is not None and wish.gone


_CHECKS: dict[Kind, Callable[[Work, Change], None]] = {
    Kind.USER_STORE: _user_store,
    Kind.ROLE: _role,
    Kind.USER: _user,
    Kind.SCOPE: _scope,
    Kind.APPLICATION: _application,
    Kind.SUBSCRIPTION: _subscription,
    Kind.DENY_POLICY: _deny_policy,
}
