"""Exporting an organization: the file that, applied again, changes nothing.

What is read is checked like any other file, so nothing leaves that could not be applied, and keys that
say what is the case without them are left out. Secrets are never read: where one is set, the document
says `{unchanged: true}`. A file holds what one apply takes; who has more leaves sections out.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from ostiary import apim, identity, oauth, organizations, permissions
from ostiary.declarative import describing, left_out
from ostiary.declarative.complaints import Path, Refused
from ostiary.declarative.limits import MOST_ENTRIES, refuse_too_much
from ostiary.declarative.names import is_of_known_store
from ostiary.declarative.reading import check_file, secret_paths
from ostiary.foundation.database import Database
from ostiary.organizations import Organization

_MOST_LEFT_OUT = 100


class TooLarge(Exception):
    """The organization has more than one apply takes; says how much in which section."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        counts = {section: len(things) for section, things in document.items() if isinstance(things, list)}
        sizes = ", ".join(
            f"{section} {'over ' * (count > MOST_ENTRIES)}{min(count, MOST_ENTRIES):,}"
            for section, count in counts.items()
            if count
        )
        super().__init__(
            f"one file holds at most {MOST_ENTRIES:,} entries, members and subscriptions included, "
            f"and the organization has more ({sizes}): leave sections out, such as users"
        )


@dataclass(frozen=True, slots=True)
class Export:
    """An organization as a file. `secrets`: where the document says that one is set."""

    document: dict[str, Any]
    secrets: tuple[Path, ...]
    left_out: tuple[str, ...]
    """What it has and no file can say, in words."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One organization, read in one transaction; `notes` collects what no file can say."""

    connection: Connection
    organization: Organization
    stores: Sequence[identity.UserStoreSettings]
    notes: list[str]

    @property
    def store_names(self) -> Collection[str]:
        return [store.name for store in self.stores]


async def export(database: Database, name: str, without: Collection[str] = ()) -> Export | None:
    """Describe the organization of that name; None where there is none.

    Raises:
        TooLarge: it has more than one apply takes.
        Refused: it has something that a file may not say.
    """
    return await database.read(partial(_export, name=name, without=without))


def _export(connection: Connection, *, name: str, without: Collection[str]) -> Export | None:
    organization = organizations.find(connection, name)
    if organization is None:
        return None
    stores = identity.list_user_stores(connection, organization.id)
    reading = _Reading(connection, organization, stores, [])
    content: dict[str, Any] = {
        "apiVersion": "ostiary/v1",
        "organization": describing.organization_part(organization),
    }
    content |= {section: read(reading) for section, read in SECTIONS.items() if section not in without}
    content = _said(content)
    try:
        refuse_too_much([content])
    except Refused as refused:
        raise TooLarge(content) from refused
    file = check_file(content)
    document = file.model_dump(mode="json", exclude_defaults=True)
    return Export(document, tuple(secret_paths(file)), tuple(reading.notes[:_MOST_LEFT_OUT]))


def _said(value: Any) -> Any:
    """The same without keys that hold nothing."""
    if isinstance(value, dict):
        return {key: _said(inner) for key, inner in value.items() if inner is not None}
    return [_said(inner) for inner in value] if isinstance(value, list) else value


def _user_stores(reading: _Reading) -> list[describing.Part]:
    return [describing.user_store_part(store) for store in reading.stores]


def _users(reading: _Reading) -> list[describing.Part]:
    here = reading.organization
    users = identity.list_users(reading.connection, here.id, limit=MOST_ENTRIES + 1)
    reading.notes.extend(left_out.of_users(users))
    return [describing.user_part(user.username, user.claims, here.name) for user in users]


def _roles(reading: _Reading) -> list[describing.Part]:
    here = reading.organization
    roles = permissions.list_roles(reading.connection, here.id)
    reading.notes.extend(left_out.of_roles(roles, reading.store_names))
    parts = (describing.role_part(role, here.name, reading.store_names) for role in roles)
    return [part for part in parts if part is not None]


def _scopes(reading: _Reading) -> list[describing.Part]:
    return [
        describing.scope_part(scope)
        for scope in oauth.list_scopes(reading.connection, reading.organization.id)
    ]


def _plans(reading: _Reading) -> list[describing.Part]:
    plans = apim.list_plans(reading.connection, reading.organization.id)
    return [describing.plan_part(plan) for plan in plans if not plan.built_in]


def _apis(reading: _Reading) -> list[describing.Part]:
    apis = apim.list_apis(reading.connection, reading.organization.id)
    return [describing.api_part(api) for api in sorted(apis, key=lambda api: (api.name, api.version))]


def _applications(reading: _Reading) -> list[describing.Part]:
    connection, here = reading.connection, reading.organization
    applications = apim.list_applications(connection, here.id)
    clients = {client.client_id: client for client in oauth.list_clients(connection, here.id)}
    held = {client_id for one in applications for client_id in one.keys.values()}
    reading.notes.extend(left_out.of_applications(applications, reading.store_names))
    reading.notes.extend(left_out.of_clients(clients, held))
    subscriptions = _subscriptions(reading, {one.id: one.name for one in applications})
    first = {application.name: application for application in reversed(applications)}
    return [
        describing.application_part(
            application,
            {
                str(key_type).lower(): describing.client_part(clients[client_id])
                for key_type, client_id in application.keys.items()
                if client_id in clients
            },
            subscriptions.get(application.id, ()),
            here.name,
        )
        for _, application in sorted(first.items())
    ]


def _subscriptions(reading: _Reading, names: Mapping[str, str]) -> Mapping[str, list[describing.Part]]:
    """Every subscription by its application."""
    connection, here = reading.connection, reading.organization.id
    apis = {api.id: (api.name, api.version) for api in apim.list_apis(connection, here)}
    found: dict[str, list[describing.Part]] = {}
    for one in apim.list_subscriptions(connection, here):
        api, version = apis[one.api_id]
        part = {"api": api, "version": version, "plan": one.plan}
        found.setdefault(one.application_id, []).append(part)
        name = f"{names[one.application_id]} > {api} {version}"
        reading.notes.extend(left_out.of_subscriptions(name, one))
    for parts in found.values():
        parts.sort(key=lambda part: (part["api"], part["version"]))
    return found


def _deny(reading: _Reading) -> list[describing.Part] | None:
    connection, here = reading.connection, reading.organization
    parts = []
    for policy in apim.list_deny_policies(connection, here.id):
        value = apim.written_value(connection, policy)
        is_person = policy.condition == apim.DenyCondition.USER
        if is_person and not is_of_known_store(value, reading.store_names):
            reading.notes.append(f"the deny policy about {value}: there is no such user store")
            continue
        parts.append(describing.deny_part(policy, value, here.name))
    return sorted(parts, key=lambda part: (part["condition"], part["value"], part["invert"])) or None


SECTIONS: Final[Mapping[str, Callable[[_Reading], list[describing.Part] | None]]] = {
    "user_stores": _user_stores,
    "users": _users,
    "roles": _roles,
    "scopes": _scopes,
    "plans": _plans,
    "apis": _apis,
    "applications": _applications,
    "deny": _deny,
}
"""What a file lists, and how each list is read."""
