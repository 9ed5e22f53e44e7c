"""The plan: what has to change so that an organization is what its file says. Pure.

Both sides are pictures: attributes with plain values, secrets only as "there is one". A secret is
set when its object is created, when it was missing, when the address it goes to changed, or when
secrets are asked for; otherwise it stays, so applying a file again rotates nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ostiary.declarative.complaints import Complaint, Path, Refused


class Kind(StrEnum):
    """What a change is about, in the order in which changes are made."""

    ORGANIZATION = "organization"
    USER_STORE = "user store"
    PLAN = "plan"
    ROLE = "role"
    USER = "user"
    SCOPE = "scope"
    API = "api"
    APPLICATION = "application"
    CLIENT = "client"
    SUBSCRIPTION = "subscription"
    DENY_POLICY = "deny policy"


REMOVED_FIRST = frozenset((Kind.API, Kind.APPLICATION, Kind.CLIENT, Kind.SUBSCRIPTION, Kind.DENY_POLICY))
"""What goes before anything is made; the rest goes last. Each in the order against that of `Kind`."""


class Action(StrEnum):
    """What happens to a thing."""

    ADD = "+"
    CHANGE = "~"
    REMOVE = "-"


ADDRESSES: dict[Kind, tuple[str, ...]] = {
    Kind.API: ("production", "sandbox", "client_certificate"),
}
"""Attributes that say where a secret goes: when one changes, the secret kept is not sent there."""

REQUIRED: dict[Kind, tuple[str, ...]] = {Kind.USER: ("password",), Kind.CLIENT: ("client_secret",)}
"""Secrets a new thing cannot be without."""

Picture = Mapping[str, Any]
SET = "set"
CLEARED = "cleared"


class Given(StrEnum):
    """What a file says about a secret."""

    VALUE = "value"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Actual:
    """A thing as it is; `secrets` names those it has."""

    picture: Picture
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wish:
    """A thing as the file wants it, and where the file says so; `gone` wishes it away."""

    path: Path
    picture: Picture = field(default_factory=dict)
    secrets: Mapping[str, Given] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()
    """Attributes that say where a secret goes, besides those of its kind."""
    gone: bool = False


State = Mapping[Kind, Mapping[str, Actual]]
Wishes = Mapping[Kind, Mapping[str, Wish]]


@dataclass(frozen=True, slots=True)
class Detail:
    """One attribute that changes; None is absent. A secret is "set" or "cleared", never shown."""

    attribute: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changes. `sets` names the secrets that are set."""

    action: Action
    kind: Kind
    name: str
    details: tuple[Detail, ...] = ()
    sets: frozenset[str] = frozenset()


def difference(state: State, wishes: Wishes, *, set_secrets: bool = False) -> tuple[Change, ...]:
    """Everything that has to change, by kind.

    What hangs on other things goes before anything is made, since its name or path may be wanted; what other
    things hang on goes after everything else, when nothing does any more.

    Raises:
        Refused: a new thing lacks its secret, or it is said to be unchanged.
    """
    complaints: list[Complaint] = []
    removals = [
        Change(Action.REMOVE, kind, name)
        for kind in reversed(Kind)
        for name, wish in wishes.get(kind, {}).items()
        if wish.gone and name in state.get(kind, {})
    ]
    changes = [change for change in removals if change.kind in REMOVED_FIRST]
    for kind in Kind:
        actual, wished = state.get(kind, {}), wishes.get(kind, {})
        for name, wish in wished.items():
            if not wish.gone:
                complaints += _missing_secrets(kind, wish, actual.get(name))
                changes += _changes(kind, name, actual.get(name), wish, set_secrets=set_secrets)
    if complaints:
        raise Refused(complaints)
    return (*changes, *(change for change in removals if change.kind not in REMOVED_FIRST))


def _changes(
    kind: Kind, name: str, actual: Actual | None, wish: Wish, *, set_secrets: bool
) -> Iterator[Change]:
    if actual is None:
        sets = frozenset(secret for secret, given in wish.secrets.items() if given is Given.VALUE)
        details = (*_details({}, wish.picture), *(Detail(secret, None, SET) for secret in sorted(sets)))
        yield Change(Action.ADD, kind, name, details, sets)
        return
    plain = tuple(_details(actual.picture, wish.picture))
    moved = any(detail.attribute in {*ADDRESSES.get(kind, ()), *wish.addresses} for detail in plain)
    secrets = tuple(_secret_details(actual, wish, everything=set_secrets or moved, moved=moved))
    if plain or secrets:
        sets = frozenset(detail.attribute for detail in secrets if detail.after == SET)
        yield Change(Action.CHANGE, kind, name, plain + secrets, sets)


def _details(before: Picture, after: Picture) -> Iterator[Detail]:
    for attribute, value in after.items():
        if before.get(attribute) != value:
            yield Detail(attribute, before.get(attribute), value)


def _secret_details(actual: Actual, wish: Wish, *, everything: bool, moved: bool) -> Iterator[Detail]:
    for secret, given in sorted(wish.secrets.items()):
        if given is Given.VALUE and (everything or secret not in actual.secrets):
            yield Detail(secret, None, SET)
        elif given is Given.UNCHANGED and moved and secret in actual.secrets:
            yield Detail(secret, None, CLEARED)


def _missing_secrets(kind: Kind, wish: Wish, actual: Actual | None) -> Iterator[Complaint]:
    for secret, given in wish.secrets.items():
        if given is Given.UNCHANGED and (actual is None or secret not in actual.secrets):
            path = (*wish.path, *secret.split("."))
            yield Complaint(path, "{unchanged: true}", "a value, because there is none to keep")
    for secret in REQUIRED.get(kind, ()) if actual is None else ():
        if secret not in wish.secrets:
            yield Complaint(wish.path, "nothing", f"the key {secret!r}, because the {kind} is new")
