"""How long a refusal is held back."""

import asyncio
from datetime import timedelta

from ostiary.identity.refusal_time import RefusalTime
from ostiary.identity.settings import RefusalSettings

SETTINGS = RefusalSettings(minimum=timedelta(milliseconds=10), headroom=1.0, samples=20)


def observed(*durations: tuple[str, int]) -> RefusalTime:
    time = RefusalTime(SETTINGS)
    for store, milliseconds in durations:
        time.observe("org", (store,), timedelta(milliseconds=milliseconds))
    return time


def test_without_any_login_it_is_the_minimum():
    assert observed().target("org") == timedelta(milliseconds=10)


def test_it_is_what_the_slowest_way_takes():
    assert observed(("PRIMARY", 25), ("EXTERNAL", 70)).target("org") == timedelta(milliseconds=70)


def test_a_flood_of_quick_refusals_does_not_lower_it():
    flood = [("EXTERNAL", 1)] * 1000

    assert observed(("PRIMARY", 25), *flood).target("org") == timedelta(milliseconds=25)


def test_a_single_slow_login_does_not_raise_it():
    assert observed(*[("PRIMARY", 25)] * 19, ("PRIMARY", 25)).target("org") == timedelta(milliseconds=25)
    many = RefusalTime(RefusalSettings(minimum=timedelta(milliseconds=10), headroom=1.0, samples=100))
    for milliseconds in (2000, *[25] * 99):
        many.observe("org", ("PRIMARY",), timedelta(milliseconds=milliseconds))
    assert many.target("org") == timedelta(milliseconds=25)


def test_organizations_do_not_share_it():
    assert observed(("PRIMARY", 90)).target("other") == timedelta(milliseconds=10)


async def test_who_is_late_waits_for_the_next_multiple():
    time, loop = observed(("PRIMARY", 50)), asyncio.get_running_loop()
    started = loop.time() - 0.06

    await time.hold("org", started)

    assert loop.time() - started >= 0.099
