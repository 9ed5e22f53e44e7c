"""No map becomes much larger than others, whatever keys are like."""

from collections import Counter
from uuid import UUID

import pytest

from ostiary.gateway.haproxy.shards import route_shard_of, shard_of

MANY = 10_000
ROUTES = {
    "numbered contexts": lambda n: ("shop", f"api{n}"),
    "numbered organizations": lambda n: (f"org{n}", "orders"),
    "both": lambda n: (f"tenant-{n % 100}", f"service{n // 100}"),
}


@pytest.mark.parametrize("kind", ROUTES)
def test_routes_are_spread_evenly(kind: str):
    sizes = Counter(route_shard_of(*ROUTES[kind](n), 64) for n in range(MANY))

    assert max(sizes.values()) < 3 * MANY / 64


def test_epochs_are_spread_evenly():
    keys = (f"{UUID(int=n % 7)}:subject:{UUID(int=n * 0x9E3779B97F4A7C15 % 2**128)}" for n in range(MANY))
    sizes = Counter(shard_of(key, 256) for key in keys)

    assert max(sizes.values()) < 3 * MANY / 256


@pytest.mark.parametrize("key", ["", "a", "a:b"])
def test_a_short_key_has_a_map_too(key: str):
    assert shard_of(key, 64) == 0
