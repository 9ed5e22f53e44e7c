"""Limits that others count against too: other nodes, and what was here before a crash."""

import time
from collections.abc import Iterator

import pytest
from tests.system.data_plane import DataPlane, a_decision, an_api, an_organization, running

from ostiary.gateway.haproxy import Quota, others_entry, others_mode
from ostiary.gateway.node.meter.windows import current_windows

CALL = "/t/my_company/orders/1.0.0/x"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    with running(an_organization(), an_api(production=["http://backend"])) as running_plane:
        yield running_plane


def accepted(plane: DataPlane, key: str, limit: int, others: int, here: int = 0, share_of: int = 0) -> int:
    """How many of twelve calls are accepted."""
    counted = {f"{key}|{number}" for number in current_windows(time.time())}
    plane.set(*(others_entry(one, others, here) for one in counted), others_mode(share_of))
    plane.decide(a_decision(key, quota=Quota(key, limit, "month")))
    return [plane.get(CALL, key).status for _ in range(12)].count(200)


def test_what_others_counted_is_not_left_for_this_node(plane: DataPlane):
    assert accepted(plane, "00000000-0000-4000-8000-000000000001", 10, others=7) == 3


def test_a_limit_that_others_used_up_lets_nothing_through(plane: DataPlane):
    assert accepted(plane, "used-up", 10, others=10) == 0
    assert accepted(plane, "beyond", 10, others=25) == 0


def test_who_is_not_named_has_the_whole_limit(plane: DataPlane):
    plane.set(others_mode(0))
    plane.decide(a_decision("alone", quota=Quota("alone", 5, "month")))

    assert [plane.get(CALL, "alone").status for _ in range(7)].count(200) == 5


def test_while_nobody_says_what_others_count_a_node_has_its_share(plane: DataPlane):
    assert accepted(plane, "share", 10, others=0, share_of=2) == 5
    assert accepted(plane, "share-of-the-rest", 10, others=4, share_of=2) == 3


def test_what_is_left_of_a_share_after_a_crash(plane: DataPlane):
    assert accepted(plane, "crashed", 10, others=5, here=-1, share_of=2) == 2


def test_a_share_is_at_least_one_call(plane: DataPlane):
    assert accepted(plane, "small", 2, others=0, share_of=5) == 1
    assert accepted(plane, "nothing", 2, others=2, share_of=5) == 0
