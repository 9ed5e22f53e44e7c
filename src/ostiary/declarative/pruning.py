"""What `--prune` removes: what a section that the file says does not list. Pure.

A section that is not said stays as it is; one that is said is the whole list, and `[]` is none. Users stay
(ADR 0021), and so does what is built in.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from ostiary.declarative.consistency import keys_of
from ostiary.declarative.plan import Kind, State, Wish, Wishes
from ostiary.declarative.schema import OrganizationFile
from ostiary.permissions import BUILT_IN_ROLES

Gone = Mapping[Kind, Collection[str]]

SECTIONS: Final[Mapping[Kind, tuple[str, Callable[[Any], str]]]] = {
    Kind.USER_STORE: ("user_stores", lambda store: store.name),
    Kind.PLAN: ("plans", lambda plan: plan.name),
    Kind.ROLE: ("roles", lambda role: role.name),
    Kind.SCOPE: ("scopes", lambda scope: scope.name),
    Kind.API: ("apis", lambda api: f"{api.name} {api.version}"),
    Kind.APPLICATION: ("applications", lambda application: application.name),
}
"""The sections that are pruned, and how their entries are called."""


def pruned(file: OrganizationFile, state: State) -> Gone:
    """The names of all that goes, by kind."""
    gone: dict[Kind, list[str]] = {}
    for kind, (section, name_of) in SECTIONS.items():
        if section in file.model_fields_set:
            staying = {name_of(entry) for entry in getattr(file, section)}
            staying |= BUILT_IN_ROLES.keys() if kind is Kind.ROLE else set()
            gone[kind] = [name for name in state.get(kind, {}) if name not in staying]
    applications = set(gone.get(Kind.APPLICATION, ()))
    for kind in (Kind.CLIENT, Kind.SUBSCRIPTION):
        parts = state.get(kind, {}).items()
        gone[kind] = [name for name, part in parts if part.picture["application"] in applications]
    gone[Kind.CLIENT] = [*gone[Kind.CLIENT], *_unsaid_keys(file, state)]
    said = {keys.client_id for application in file.applications for _, keys in keys_of(application)}
    return gone | {Kind.CLIENT: [client_id for client_id in gone[Kind.CLIENT] if client_id not in said]}


def _unsaid_keys(file: OrganizationFile, state: State) -> list[str]:
    """The clients of applications whose `keys` are said without them."""
    said = {
        part.name: {kind.upper() for kind, _ in keys_of(part)}
        for part in file.applications
        if "keys" in part.model_fields_set
    }
    return [
        client_id
        for client_id, client in state.get(Kind.CLIENT, {}).items()
        if client.picture["application"] in said
        and client.picture["key_type"] not in said[client.picture["application"]]
    ]


def without(state: State, gone: Gone) -> State:
    """The state as it is once all that has gone."""
    return {
        kind: {name: actual for name, actual in things.items() if name not in gone.get(kind, ())}
        for kind, things in state.items()
    }


def with_gone(wishes: Wishes, gone: Gone) -> Wishes:
    """The wishes with that all this goes; the place of a removal is the section that does not list it."""
    sections = {kind: section for kind, (section, _) in SECTIONS.items()}
    return {
        kind: {
            **wished,
            **{name: Wish((sections.get(kind, "applications"),), gone=True) for name in gone.get(kind, ())},
        }
        for kind, wished in wishes.items()
    }
