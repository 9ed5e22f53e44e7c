"""Four classes of refusal, told apart by nothing but a clock (design: AUC ≤ 0.6)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import combinations

import pytest
from tests.support.identity import World, a_world
from tests.support.login_service import LoginService

from ostiary.foundation.database import Database
from ostiary.identity import LoginRefused
from ostiary.identity.settings import LockoutSettings, RefusalSettings

ROUNDS = 200
CLASSES = ("primary", "external", "unknown", "locked")


@pytest.fixture
async def world(sqlite_database: Database) -> AsyncIterator[World]:
    """Counting is on, but nobody is locked by the test's own wrong passwords except who should be."""
    limits = LockoutSettings(client_failures=5, user_failures=1000)
    refusals = RefusalSettings(minimum=timedelta(milliseconds=20))
    made = await a_world(sqlite_database, lockout=limits, refusals=refusals)
    yield made
    await made.authentication.close()


def auc(left: Sequence[float], right: Sequence[float]) -> float:
    """How well one threshold separates two samples: 0.5 not at all, 1.0 perfectly."""
    wins = sum((a > b) + 0.5 * (a == b) for a in left for b in right)
    share = wins / (len(left) * len(right))
    return max(share, 1 - share)


async def refused_after(world: World, username: str, client: str) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(LoginRefused):
        await world.log_in(username, "wrong", client)
    return loop.time() - started


async def test_time_tells_no_class_of_refusal_from_another(world: World, service: LoginService):
    await world.user("bob")
    await world.user("locked")
    await world.store(service.url)
    for _ in range(6):
        await refused_after(world, "locked", "app")
    names = {"primary": "bob", "external": "testuser", "locked": "locked"}
    times: dict[str, list[float]] = {kind: [] for kind in CLASSES}

    for number in range(ROUNDS + 20):
        for kind in CLASSES:
            client = "app" if kind == "locked" else f"app{number}"
            took = await refused_after(world, names.get(kind, f"ghost{number}"), client)
            times[kind].append(took)

    settled = {kind: durations[20:] for kind, durations in times.items()}
    found = {pair: auc(settled[pair[0]], settled[pair[1]]) for pair in combinations(CLASSES, 2)}
    assert max(found.values()) <= 0.6, found
