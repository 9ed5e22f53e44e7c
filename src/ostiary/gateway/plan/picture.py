"""The whole picture at one number, and how a change makes the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ostiary.gateway.plan.parted import Edit, Parted, parted
from ostiary.gateway.plan.things import (
    API,
    APIKey,
    Application,
    Client,
    Denial,
    Epoch,
    Key,
    Kind,
    Node,
    Organization,
    Plan,
    Revocation,
    Subscription,
    Thing,
)
from ostiary.gateway.plan.wire import (
    IGNORABLE,
    MUST_BE_READ,
    SLOT,
    BadPlan,
    Entry,
    Fields,
    epoch_id,
    read,
    to_wire,
)

SCHEMA_VERSION: Final = 1
LOOKED_UP: Final = frozenset({"USER", "APPLICATION", "API"})
_CONDITIONS: Final = LOOKED_UP | {"IP"}


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """The whole picture at one outbox number. Immutable: `apply` returns the next one."""

    number: int = 0
    organizations: Mapping[str, Organization] = field(default_factory=Parted)
    apis: Mapping[str, API] = field(default_factory=Parted)
    applications: Mapping[str, Application] = field(default_factory=Parted)
    clients: Mapping[str, Client] = field(default_factory=Parted)
    subscriptions: Mapping[str, Subscription] = field(default_factory=Parted)
    plans: Mapping[str, Plan] = field(default_factory=Parted)
    keys: Mapping[str, Key] = field(default_factory=Parted)
    epochs: Mapping[str, Epoch] = field(default_factory=Parted)
    revocations: Mapping[str, Revocation] = field(default_factory=Parted)
    nodes: Mapping[str, Node] = field(default_factory=Parted)
    api_keys: Mapping[str, APIKey] = field(default_factory=Parted)
    denials: Mapping[str, Denial] = field(default_factory=Parted)
    unreadable: Mapping[tuple[str, str], str] = field(default_factory=Parted)
    """Entries this version cannot read → why. It is not in its own mapping, so it allows nothing."""
    barred: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=Parted)
    """Entries of unknown kinds → what they bar: ("api", id), ("organization", id) or ("everything", "")."""
    subscribed: Mapping[str, Mapping[str, Subscription]] = field(default_factory=Parted)
    """Application id → API id → its subscription."""
    denial_of: Mapping[tuple[str, str, str], str] = field(default_factory=Parted)
    """(organization id, condition, value) → denial id, of the conditions that are looked up."""

    def apply(self, number: int, entries: Iterable[Entry]) -> GatewayPlan:
        """Return the plan after these changes; the order of entries with different ids does not matter.

        An API, client or other thing that cannot be read is left out (so it is refused) and named in
        `unreadable`; the rest applies.

        Raises:
            BadPlan: an epoch cannot be read; leaving that out would allow calls, so nothing applies.
        """
        change = self.change()
        for entry in entries:
            change.add(entry)
        return change.finish(number)

    def change(self) -> Change:
        """Begin the plan that follows this one."""
        return Change(self)

    def minimum(self, organization_id: str, kind: str, key: str) -> int:
        """Return the lowest epoch a token may carry for this client, subject, …; 0 when never narrowed."""
        epoch = self.epochs.get(epoch_id(organization_id, kind, key))
        return 0 if epoch is None else epoch.minimum

    def subscription(self, application_id: str, api_id: str) -> Subscription | None:
        """Find the one subscription of an application to an API version."""
        return self.subscribed.get(application_id, {}).get(api_id)

    def denies(self, organization_id: str, condition: str, value: str) -> bool:
        """Whether calls of this user, application or API are denied; `condition` is one of `LOOKED_UP`."""
        return (organization_id, condition, value) in self.denial_of

    def refusals(self, api: API) -> frozenset[str]:
        """Name what this node does not understand about `api`; not empty means: refuse every call to it."""
        organization = self.organizations.get(api.organization_id)
        reasons = set(api.unsupported)
        if organization is None:
            reasons.add("organization")
        else:
            reasons |= {f"organization.{name}" for name in organization.unsupported}
        if self.barred:
            about = {("api", api.id), ("organization", api.organization_id), ("everything", "")}
            reasons |= {kind for (kind, _), barred in self.barred.items() if barred in about}
        return frozenset(reasons)

    @property
    def size(self) -> int:
        """How many things there are."""
        return sum(len(getattr(self, slot)) for slot in SLOT.values())

    def entries(self) -> list[Entry]:
        """Return the plan as entries that give the same plan when applied to an empty one."""
        return [to_wire(thing) for slot in SLOT.values() for thing in getattr(self, slot).values()]


class Change:
    """The plan that comes next, entry by entry; what does not change is shared with the one before."""

    def __init__(self, plan: GatewayPlan) -> None:
        self._plan = plan
        self._changed: dict[str, Edit[Any, Any]] = {}

    def add(self, entry: Entry) -> None:
        """Take an entry; the same one again changes nothing.

        Raises:
            BadPlan: an epoch or revocation cannot be read.
        """
        slot = SLOT.get(entry.kind)
        if slot is None:
            self._bar(entry)
            return
        key = (entry.kind, entry.id)
        if key in self._current("unreadable"):
            self._open("unreadable").pop(key)
        if entry.value is None:
            self._remove(entry, slot)
            self._lift(key)
            return
        if entry.kind == Kind.DENIAL and self._bar_unless_understood(entry):
            return
        try:
            thing = read(entry)
        except BadPlan as problem:
            if entry.kind in MUST_BE_READ:
                raise
            self._remove(entry, slot)
            self._open("unreadable")[key] = str(problem)
        else:
            self._put(slot, thing)

    def finish(self, number: int) -> GatewayPlan:
        """Return the plan; nothing can be added any more."""
        return replace(self._plan, number=number, **{slot: one.done() for slot, one in self._changed.items()})

    def _put(self, slot: str, thing: Thing) -> None:
        if isinstance(thing, Subscription):
            self._forget_subscription(thing.id)
            mine = self._current("subscribed").get(thing.application_id, {})
            self._open("subscribed")[thing.application_id] = {**mine, thing.api_id: thing}
        if isinstance(thing, Denial):
            self._forget_denial(thing.id)
            if thing.condition in LOOKED_UP:
                self._open("denial_of")[_what(thing)] = thing.id
        self._open(slot)[thing.id] = thing

    def _remove(self, entry: Entry, slot: str) -> None:
        if entry.kind == Kind.SUBSCRIPTION:
            self._forget_subscription(entry.id)
        if entry.kind == Kind.DENIAL:
            self._forget_denial(entry.id)
        self._open(slot).pop(entry.id, None)

    def _forget_subscription(self, id: str) -> None:
        old: Subscription | None = self._current("subscriptions").get(id)
        if old is None:
            return
        mine = self._current("subscribed").get(old.application_id, {})
        if mine.get(old.api_id) is old:
            left = {api_id: one for api_id, one in mine.items() if one is not old}
            self._open("subscribed")[old.application_id] = left
            if not left:
                self._open("subscribed").pop(old.application_id)

    def _forget_denial(self, id: str) -> None:
        old = self._current("denials").get(id)
        if old is not None and self._current("denial_of").get(_what(old)) == id:
            self._open("denial_of").pop(_what(old))

    def _bar_unless_understood(self, entry: Entry) -> bool:
        """A denial left out would allow calls: one that says more than this version knows bars instead."""
        self._lift((entry.kind, entry.id))
        try:
            thing = read(entry)
        except BadPlan:
            thing = None
        if isinstance(thing, Denial) and not thing.unsupported and thing.condition in _CONDITIONS:
            return False
        self._remove(entry, SLOT[entry.kind])
        self._bar(entry)
        return True

    def _lift(self, key: tuple[str, str]) -> None:
        if key in self._current("barred"):
            self._open("barred").pop(key)

    def _bar(self, entry: Entry) -> None:
        key = (entry.kind, entry.id)
        if entry.value is None or entry.value.get(IGNORABLE) is True:
            self._open("barred").pop(key, None)
            return
        for name in ("api", "organization"):
            about = entry.value.get(f"{name}_id")
            if isinstance(about, str):
                self._open("barred")[key] = (name, about)
                return
        self._open("barred")[key] = ("everything", "")

    def _current(self, slot: str) -> Mapping[Any, Any]:
        if slot in self._changed:
            return self._changed[slot]
        mapping: Mapping[Any, Any] = getattr(self._plan, slot)
        return mapping

    def _open(self, slot: str) -> Edit[Any, Any]:
        if slot not in self._changed:
            self._changed[slot] = parted(getattr(self._plan, slot)).edit()
        return self._changed[slot]


def _what(denial: Denial) -> tuple[str, str, str]:
    return (denial.organization_id, denial.condition, denial.value)


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """What the control plane answers: all entries when `complete`, otherwise what changed."""

    number: int
    complete: bool
    entries: tuple[Entry, ...]
    next_page: str | None = None
    """Of a complete plan in pages: what to ask for next; `None` at the last page."""
    more: bool = False
    """Whether these changes are only the first part of a change: what follows `number` belongs to it."""

    def to_wire(self) -> dict[str, Any]:
        """Write the answer as the JSON object of schema version 1."""
        entries = [{"kind": one.kind, "id": one.id, "value": one.value} for one in self.entries]
        return {
            "schema_version": SCHEMA_VERSION,
            "number": self.number,
            "complete": self.complete,
            "entries": entries,
            **({} if self.next_page is None else {"next_page": self.next_page}),
            **({"more": True} if self.more else {}),
        }

    @classmethod
    def from_wire(cls, document: object) -> PlanAnswer:
        """Read an answer.

        Raises:
            BadPlan: another schema version, or not the agreed form.
        """
        f = Fields("plan", "", document)
        version = f.take("schema_version", int)
        if version != SCHEMA_VERSION:
            raise BadPlan(f"plan: schema version {version} is not known here, {SCHEMA_VERSION} is")
        number, complete = f.take("number", int), f.take("complete", bool)
        entries = tuple(_entry(one) for one in f.take("entries", list))
        return cls(number, complete, entries, f.take_or_none("next_page", str), f.take("more", bool, False))

    def next_plan(self, plan: GatewayPlan) -> GatewayPlan:
        """Return the plan that follows `plan` by this answer, which is not one of several."""
        return (GatewayPlan() if self.complete else plan).apply(self.number, self.entries)


def _entry(document: object) -> Entry:
    f = Fields("entry", "", document)
    return Entry(f.take("kind", str), f.take("id", str), f.take_or_none("value", dict))
