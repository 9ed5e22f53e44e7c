"""What the agent knows of the decisions it stored in HAProxy: what each rests on, how many, until when.

A change of the plan ends exactly the decisions that rest on what changed. The index knows no HAProxy: it
answers which entries to delete. About 3 KB a decision, the stored value included (a new HAProxy worker
gets it from here).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from ostiary.gateway.haproxy import Decision, MapEntry, decision_entry
from ostiary.gateway.haproxy.maps import DECISION_SHARDS
from ostiary.gateway.node.authorize import unsubscribed
from ostiary.gateway.node.dependents import Dependency, Dependents
from ostiary.gateway.plan import API, CORS, GatewayPlan, Kind

LARGEST_SHARD: Final = 1_000
_FORGOTTEN_AT_LEAST: Final = 1_000
_END_USER: Final = "end user"
EVERYBODY: Final = (Kind.CLAIMS.value, "")
"""Changed where nobody can say whose claims did."""
_ENDED_BY_DENIAL: Final[Mapping[str, str]] = {"USER": _END_USER, "APPLICATION": Kind.APPLICATION.value}


@dataclass(frozen=True, slots=True)
class Stored:
    """One decision in HAProxy's maps."""

    map: str
    key: str
    value: str
    organization_id: str
    epoch: int
    expires_at: int
    credential_ends_at: int
    rests_on: tuple[Dependency, ...]
    serial: int

    @property
    def entry(self) -> MapEntry:
        """The entry as it was stored."""
        return MapEntry(self.map, self.key, self.value)


class DecisionIndex:
    """The stored decisions by key and by everything they rest on."""

    def __init__(self, largest: int) -> None:
        """Hold about `largest` decisions; each shard its part, the oldest of a full one makes room."""
        self._shard_size = max(1, min(LARGEST_SHARD, largest // DECISION_SHARDS))
        self._shards: dict[str, dict[str, Stored]] = defaultdict(dict)
        self._dependents = Dependents[Stored]()
        self._by_expiry: list[tuple[int, int, str, str]] = []
        self._standing = 0
        self._serial = count(1)
        self.lasting: DecisionIndex | None = None
        """What streams under way rest on: ended with what it rests on as the decisions are."""

    def __len__(self) -> int:
        return self._standing

    def add(self, decision: Decision, subscription_id: str, plan_id: str) -> tuple[Stored, list[MapEntry]]:
        """Note a decision that is about to be stored; returns it and the deletions that make room."""
        name, key, value = decision_entry(decision)
        stored = Stored(
            map=name,
            key=key,
            value=value or "",
            organization_id=decision.organization_id,
            epoch=decision.epoch,
            expires_at=decision.expires_at,
            credential_ends_at=decision.credential_ends_at,
            rests_on=tuple(map(self._dependents.same, _rests_on(decision, subscription_id, plan_id))),
            serial=next(self._serial),
        )
        return stored, self._put(stored)

    def keep(self, stored: Stored) -> Stored:
        """Note what another index has, for as long as its credential lasts, whatever a backend was told."""
        rests_on = tuple(one for one in stored.rests_on if one[0] != Kind.CLAIMS)
        expires_at, serial = stored.credential_ends_at, next(self._serial)
        kept = replace(stored, rests_on=rests_on, expires_at=expires_at, serial=serial)
        self._put(kept)
        return kept

    def _put(self, stored: Stored) -> list[MapEntry]:
        shard, key = self._shards[stored.map], stored.key
        if key in shard:
            self._forget(shard[key])
        evicted = [next(iter(shard.values()))] if len(shard) >= self._shard_size else []
        gone = [self._forget(old) for old in evicted]
        shard[key] = stored
        self._standing += 1
        self._dependents.add(stored)
        heapq.heappush(self._by_expiry, _expiry(stored))
        self._compact()
        return gone

    def _compact(self) -> None:
        """Leave out what was forgotten before its time, so that the heap grows with what stands alone."""
        if len(self._by_expiry) > 2 * self._standing + _FORGOTTEN_AT_LEAST:
            self._by_expiry = [_expiry(one) for shard in self._shards.values() for one in shard.values()]
            heapq.heapify(self._by_expiry)

    def holds(self, stored: Stored) -> bool:
        """Whether this very decision still stands."""
        return self._shards[stored.map].get(stored.key) is stored

    def find(self, name: str, key: str) -> Stored | None:
        """Find the decision stored under a key."""
        return self._shards[name].get(key)

    def content(self, name: str) -> list[tuple[str, str]]:
        """Return the entries of one map, for a worker that has none."""
        shard = self._shards.get(name, {})
        return [(stored.key, stored.value) for stored in shard.values()]

    def expire(self, now: float) -> list[MapEntry]:
        """Forget what is over; returns the deletions."""
        gone = []
        while self._by_expiry and self._by_expiry[0][0] <= now:
            _, serial, name, key = heapq.heappop(self._by_expiry)
            stored = self._shards[name].get(key)
            if stored is not None and stored.serial == serial:
                gone.append(self._forget(stored))
        return gone

    def forget_all(self) -> list[MapEntry]:
        """Forget every decision; returns the deletions."""
        if self.lasting is not None:
            self.lasting.forget_all()
        return [self._forget(stored) for shard in self._shards.values() for stored in list(shard.values())]

    def retain(self, keys: Collection[str]) -> None:
        """Forget all but what is stored under these keys."""
        for shard in self._shards.values():
            for stored in [one for key, one in shard.items() if key not in keys]:
                self._forget(stored)

    def invalidate(
        self, before: GatewayPlan, after: GatewayPlan, touched: Iterable[tuple[str, str]]
    ) -> list[MapEntry]:
        """Forget the decisions that rest on what changed; returns the deletions."""
        touched = list(touched)
        if self.lasting is not None:
            self.lasting.invalidate(before, after, touched)
        return self._end(before, after, touched)

    def reconcile(self, before: GatewayPlan, after: GatewayPlan) -> list[MapEntry]:
        """Forget the decisions that do not hold by a plan which need not follow the one before."""
        if self.lasting is not None:
            self.lasting.reconcile(before, after)
        narrowed = [(Kind.EPOCH.value, id) for id in after.epochs]
        denied = [(Kind.DENIAL.value, id) for id in after.denials]
        return self._end(before, after, [*self._dependents, *narrowed, *denied, EVERYBODY])

    def _end(
        self, before: GatewayPlan, after: GatewayPlan, touched: Iterable[tuple[str, str]]
    ) -> list[MapEntry]:
        gone: dict[int, Stored] = {}
        for kind, id in touched:
            for stored in self._ended_by(kind, id, before, after):
                gone[stored.serial] = stored
        return [self._forget(stored) for stored in gone.values()]

    def _ended_by(self, kind: str, id: str, before: GatewayPlan, after: GatewayPlan) -> list[Stored]:
        if kind == Kind.REVOCATION:
            return self._resting_on((kind, id)) if id in after.revocations else []
        if kind == Kind.EPOCH:
            return self._below(id, after)
        if kind == Kind.DENIAL:
            return self._denied(id, after)
        if kind == Kind.CLAIMS:
            return self._resting_on((kind, id))
        if kind == Kind.SUBSCRIPTION and id in after.subscriptions:
            new = after.subscriptions[id]
            without = self._resting_on((kind, unsubscribed(new.application_id, new.api_id)))
            return [*without, *self._changed(kind, id, before, after)]
        if kind == Kind.API and _no_prototype_any_more(id, before, after):
            return [*self._changed(kind, id, before, after), *self._unsubscribed(id)]
        return self._changed(kind, id, before, after)

    def _unsubscribed(self, api_id: str) -> list[Stored]:
        """Those that no subscription allows: a prototype takes calls without one."""
        return [stored for stored in self._resting_on((Kind.API, api_id)) if _is_unsubscribed(stored, api_id)]

    def _changed(self, kind: str, id: str, before: GatewayPlan, after: GatewayPlan) -> list[Stored]:
        differs = kind in _CHANGED and _CHANGED[kind](id, before, after)
        return self._resting_on((kind, id)) if differs else []

    def _denied(self, id: str, plan: GatewayPlan) -> list[Stored]:
        """What a deny policy about a user or application ends; the others are HAProxy's to look up."""
        denial = plan.denials.get(id)
        if denial is None or denial.condition not in _ENDED_BY_DENIAL:
            return []
        depending = self._resting_on((_ENDED_BY_DENIAL[denial.condition], denial.value))
        return [stored for stored in depending if stored.organization_id == denial.organization_id]

    def _below(self, id: str, plan: GatewayPlan) -> list[Stored]:
        epoch = plan.epochs.get(id)
        if epoch is None:
            return []
        what = Kind.ORGANIZATION if epoch.kind == "organization" else epoch.kind
        key = epoch.organization_id if epoch.kind == "organization" else epoch.key
        return [
            stored
            for stored in self._resting_on((what, key))
            if stored.organization_id == epoch.organization_id and stored.epoch < epoch.minimum
        ]

    def _resting_on(self, dependency: Dependency) -> list[Stored]:
        return self._dependents.of(dependency)

    def _forget(self, stored: Stored) -> MapEntry:
        if self._shards[stored.map].pop(stored.key, None) is not None:
            self._standing -= 1
        self._dependents.discard(stored)
        return MapEntry(stored.map, stored.key, None)


def _expiry(stored: Stored) -> tuple[int, int, str, str]:
    return stored.expires_at, stored.serial, stored.map, stored.key


def _rests_on(decision: Decision, subscription_id: str, plan_id: str) -> tuple[Dependency, ...]:
    revocable = [(Kind.REVOCATION.value, f"token:{decision.token_id}")]
    if decision.family:
        revocable.append((Kind.REVOCATION.value, f"family:{decision.family}"))
    if decision.kid:
        revocable.append((Kind.KEY.value, decision.kid))
    return (
        *revocable,
        *([(Kind.API_KEY.value, decision.api_key)] if decision.api_key else []),
        (Kind.API.value, decision.api_id),
        (Kind.APPLICATION.value, decision.application_id),
        (Kind.CLIENT.value, decision.client_id),
        (Kind.ORGANIZATION.value, decision.organization_id),
        (Kind.SUBSCRIPTION.value, subscription_id),
        (Kind.PLAN.value, plan_id),
        ("subject", decision.subject),
        *([(Kind.CLAIMS.value, decision.subject), EVERYBODY] if decision.has_claims else []),
        *([(_END_USER, decision.end_user)] if decision.end_user else []),
        *(("scope", scope) for scope in sorted(decision.scopes)),
    )


def _differs(slot: str) -> Callable[[str, GatewayPlan, GatewayPlan], bool]:
    def differs(id: str, before: GatewayPlan, after: GatewayPlan) -> bool:
        there = getattr(after, slot).get(id)
        return there is None or getattr(before, slot).get(id) != there

    return differs


def _api_differs(id: str, before: GatewayPlan, after: GatewayPlan) -> bool:
    """Whether what a decision says of its API changed; HAProxy itself reads state, resources, addresses."""
    old, new = before.apis.get(id), after.apis.get(id)
    return old is None or new is None or _told(old) != _told(new)


def _told(api: API) -> API:
    has = tuple(bool(addresses) for addresses in (api.backend.production, api.backend.sandbox))
    backend = replace(api.backend, production=("",) * has[0], sandbox=("",) * has[1])
    quiet = replace(api, state="", resources=(), backend=backend, limit=None)
    return replace(quiet, security=(), cors=CORS(), default_version=False)


def _is_unsubscribed(stored: Stored, api_id: str) -> bool:
    applications = [id for kind, id in stored.rests_on if kind == Kind.APPLICATION]
    none = [(Kind.SUBSCRIPTION.value, unsubscribed(application, api_id)) for application in applications]
    return any(one in stored.rests_on for one in none)


def _no_prototype_any_more(id: str, before: GatewayPlan, after: GatewayPlan) -> bool:
    old, new = before.apis.get(id), after.apis.get(id)
    return old is not None and new is not None and old.state == "PROTOTYPED" != new.state


def _key_differs(id: str, before: GatewayPlan, after: GatewayPlan) -> bool:
    """Whether the key itself changed; a retiring key verifies as well as an active one."""
    old, new = before.keys.get(id), after.keys.get(id)
    return old is None or new is None or replace(old, state="") != replace(new, state="")


_CHANGED: Final[Mapping[str, Callable[[str, GatewayPlan, GatewayPlan], bool]]] = {
    Kind.API: _api_differs,
    Kind.API_KEY: _differs("api_keys"),
    Kind.APPLICATION: _differs("applications"),
    Kind.CLIENT: _differs("clients"),
    Kind.KEY: _key_differs,
    Kind.ORGANIZATION: _differs("organizations"),
    Kind.PLAN: _differs("plans"),
    Kind.SUBSCRIPTION: _differs("subscriptions"),
}
