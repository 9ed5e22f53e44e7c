"""A node whose clock is wrong judges tokens by the control plane's time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.unit.gateway.builders import NOW, a_token
from tests.unit.gateway.test_decide import Desk

from ostiary.gateway.node.clock import TOLERANCE, NodeClock


@dataclass
class Times:
    """True time goes on; the machine's clock is `off` seconds ahead of it."""

    off: float = 0.0
    passed: float = 0.0

    def clock(self) -> NodeClock:
        return NodeClock(lambda: NOW + self.off + self.passed, lambda: 1000 + self.passed)

    def true(self) -> float:
        return NOW + self.passed


@pytest.mark.parametrize("off", [300.0, -300.0, 3.0, -3.0])
def test_a_wrong_clock_is_corrected(off: float):
    times = Times(off)
    clock = times.clock()

    assert clock.observe(times.true())

    assert clock.now() == pytest.approx(times.true())
    assert clock.skew == pytest.approx(-off)
    times.passed = 3600  # without a control plane for an hour
    assert clock.now() == pytest.approx(times.true())


@pytest.mark.parametrize("off", [0.0, TOLERANCE, -TOLERANCE])
def test_a_clock_that_is_right_is_believed(off: float):
    times = Times(off)
    clock = times.clock()

    assert not clock.observe(times.true())

    assert clock.skew == 0
    assert abs(clock.now() - times.true()) <= TOLERANCE


def test_setting_the_clock_right_changes_no_judgement_and_is_noticed():
    times = Times(300.0)
    clock = times.clock()
    clock.observe(times.true())
    assert not clock.was_set()

    times.off = 0.0

    assert clock.now() == pytest.approx(times.true())
    assert clock.was_set()
    assert not clock.was_set()
    assert not clock.observe(times.true())
    assert clock.skew == 0


def test_before_a_control_plane_answers_the_machines_clock_counts():
    assert Times(300.0).clock().now() == NOW + 300


def a_desk(off: float) -> Desk:
    desk, times = Desk(now=NOW + off), Times(off)
    clock = times.clock()
    clock.observe(times.true())
    desk.decider._clock = clock
    return desk


@pytest.mark.parametrize("off", [300.0, -300.0])
async def test_a_token_is_good_until_it_expires_wherever_the_clock_stands(off: float):
    desk = a_desk(off)

    assert await desk.refusal(a_token(exp=int(NOW) + 60)) is None
    assert await desk.refusal(a_token(exp=int(NOW) - 1)) == "invalid_token"
    assert await desk.refusal(a_token(exp=int(NOW) - 299)) == "invalid_token"


@pytest.mark.parametrize("off", [300.0, -300.0])
async def test_a_stored_decision_ends_by_the_clock_haproxy_has(off: float):
    desk = a_desk(off)

    await desk.decide(a_token(exp=int(NOW) + 60))

    assert desk.index.expire(NOW + off + 59) == []
    assert len(desk.index.expire(NOW + off + 61)) == 1
