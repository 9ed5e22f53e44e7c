"""What the soak calls growth."""

import pytest
from benchmarks.soak import Samples, report

MB = 2**20


def samples(memory: list[float], began: float = 0.0, descriptors: int = 30) -> Samples:
    """A sample each half minute."""
    minutes = [began + number / 2 for number in range(len(memory))]
    return Samples(1, minutes, [one * MB for one in memory], [descriptors] * len(memory))


FLAT = [60 + (number % 3) for number in range(40)]
FILLS = [30 + min(number, 12) * 3.0 for number in range(40)]
LEAKS = [60 + number * 0.4 for number in range(40)]


@pytest.mark.parametrize(("memory", "grows"), [(FLAT, False), (FILLS, False), (LEAKS, True)])
def test_what_goes_on_rising_after_the_warm_up_grows(memory: list[float], grows: bool):
    assert samples(memory).grows("memory", 6.5) is grows


def test_descriptors_that_are_never_closed_are_growth():
    one = samples(FLAT)
    one.descriptors = [30.0 + number for number in range(40)]

    assert one.grows("descriptors", 5)
    assert not samples(FLAT).grows("descriptors", 5)


def test_a_process_that_began_later_has_a_warm_up_of_its_own():
    filling = [10 + min(number, 4) * 5.0 for number in range(20)]

    assert samples(filling).grows("memory", 0)
    assert not samples(filling, began=8.0).grows("memory", 0)


def test_the_verdict_names_what_grows_and_judges_no_database(capsys: pytest.CaptureFixture[str]):
    found = {"agent": samples(LEAKS), "worker": samples(FLAT), "database file": samples(LEAKS)}

    assert report(found, 5) == ["agent (memory)"]
    assert "agent" in capsys.readouterr().out
