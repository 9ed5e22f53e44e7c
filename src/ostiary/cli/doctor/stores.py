"""Whether user stores can be asked, and whether the workers do ask them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ostiary.app import BREAKER_METRIC, worker_counts
from ostiary.cli.doctor.findings import Finding, fail, ok, warn
from ostiary.foundation.clock import utc_now
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.metrics import read
from ostiary.foundation.secrets import SecretBox
from ostiary.identity import (
    BreakerState,
    Migration,
    PasswordHasher,
    UserStores,
    UserStoreSettings,
    takes_passwords,
    test_user_store,
)

_AT_ONCE: Final = 16
_SOON: Final = 14
"""Days before a migration ends."""
_DAYS: Final = {0: "the store is not asked any more", 1: "today is the last day"}
Store = tuple[str, str]
"""Names of an organization and of one of its stores."""
Breakers = Mapping[Store, Mapping[str, int]]
"""How many workers have a store's circuit breaker in which state."""


async def user_stores(
    known: Sequence[tuple[str, UserStoreSettings]],
    workers: Sequence[Path],
    policy: OutboundPolicy,
    box: SecretBox,
) -> Sequence[Finding]:
    """Whether each store can be asked, refuses somebody made up, and is not left alone by a worker.

    `workers`: the sockets on which they tell what they count; none where no server runs.
    """
    turn = asyncio.Semaphore(_AT_ONCE)
    hasher = PasswordHasher()
    stores = UserStores(box, policy, hasher)
    breakers = await _breakers(workers)

    async def one(organization: str, store: UserStoreSettings) -> list[Finding]:
        async with turn:
            found = await store_finding(organization, store, stores)
        seen = breakers.get((organization, store.name), {})
        return [found, *breaker_findings(organization, store, seen, is_well=found.state == "ok")]

    try:
        found = await asyncio.gather(*(one(*each) for each in known))
    finally:
        await hasher.close()
    return [finding for each in found for finding in each]


async def store_finding(organization: str, store: UserStoreSettings, stores: UserStores) -> Finding:
    """Reach a store as a login would."""
    what = f"user store {store.name} of {organization}"
    if not store.options.enabled:
        return ok(what, "it is switched off")
    if store.days_left(utc_now()) == 0:
        return ok(what, "it is not asked any more: migrate_until is over")
    made = stores.unshared(store, {})
    try:
        tested = await test_user_store(made)
    finally:
        await made.close()
    if tested.accepts_anybody:
        do = "switch it off (`enabled: false`) until its service refuses people who do not exist"
        return fail(what, "it accepts anybody, even somebody made up with a random password", do)
    if tested.problem is not None:
        return fail(what, _PROBLEMS.get(tested.problem, tested.problem), _advice(tested.problem))
    if not takes_passwords(store.type):
        return ok(what, "an identity provider; one of its certificates is valid")
    return ok(what, "it can be asked, and refuses somebody made up")


def breaker_findings(
    organization: str, store: UserStoreSettings, workers: Mapping[str, int], *, is_well: bool
) -> list[Finding]:
    """Judge how the workers get on with a store. `is_well`: it answered just now.

    An open breaker closes by itself, so this is never a failure of its own.
    """
    opened, waiting = (workers.get(state, 0) for state in (BreakerState.OPEN, BreakerState.HALF_OPEN))
    if not store.options.enabled or not opened + waiting or (is_well and not opened):
        return []
    says = f"open at {opened}, half-open at {waiting} of {sum(workers.values())} workers"
    if is_well:
        do = (
            "the store answers now: after 5 seconds one login there tries it, and closes it; where it opens "
            "again, compare timeout_ms with ostiary_user_store_seconds"
        )
    else:
        do = "make the store answer; until then logins there get 503 at once, after it the next one closes it"
    return [warn(f"breaker of {store.name} of {organization}", says, do)]


def migrations(known: Sequence[tuple[str, Migration]]) -> Iterator[Finding]:
    """Whether moving away from stores leaves people behind."""
    for organization, migration in known:
        yield migration_finding(organization, migration)


def migration_finding(organization: str, migration: Migration) -> Finding:
    """Judge how far one is."""
    what, left = f"migration from {migration.store} of {organization}", migration.days_left or 0
    days = _DAYS.get(left, f"{left} days left")
    says = f"{migration.moved} have moved, {migration.not_moved} have not, {days}"
    if migration.not_moved and not left:
        return warn(
            what, says, "who has not moved is refused: raise migrate_until, or make them new passwords"
        )
    if migration.not_moved and left <= _SOON:
        return warn(what, says, "ask who has not moved to log in, or raise migrate_until")
    if left and migration.moved and not migration.not_moved:
        says += "; everybody known has, `enabled: false` may come"
    return ok(what, says)


async def _breakers(workers: Sequence[Path]) -> Breakers:
    """What the workers say; nothing where none answers."""
    found: dict[Store, Counter[str]] = {}
    for text in await asyncio.gather(*map(worker_counts, workers)):
        for family in read(text or ""):
            for one in family.samples if family.name == BREAKER_METRIC else ():
                store = one.labels["organization"], one.labels["store"]
                found.setdefault(store, Counter())[one.labels["state"]] += int(one.value)
    return found


_PROBLEMS: Final = {
    "connect": "nobody answers at its address",
    "timeout": "it did not answer in time",
    "protocol": "what answers does not speak HTTP",
    "its_password_is_not_set": "what we prove ourselves with is not set, or is no key",
    "not_the_agreed_form": "its answer has not the agreed form",
    "status_401": "it does not know us: it answers 401",
}


def _advice(problem: str) -> str:
    """What to do about it."""
    if problem.startswith("address_refused"):
        return "correct its address, or the setting outbound.allowed_networks"
    if problem in ("its_password_is_not_set", "status_401") or "refused" in problem:
        return "set its secret again: `ostiary apply --set-secrets`"
    if "certificate" in problem:
        return "renew its certificate, or trust its authority (`ca`)"
    return "`ostiary trace login` shows each step; its users cannot log in meanwhile"
