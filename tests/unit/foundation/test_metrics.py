"""Counting without end in time, never in memory; and what a scrape reads."""

import pytest

from ostiary.foundation.metrics import BUCKETS, OTHER, Counter, Timer, gauge, merge, read, write


def _samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in read(text)
        for sample in family.samples
    }


def test_a_caller_cannot_make_series_without_end() -> None:
    """CVE-2026-16100: labels from requests."""
    counter = Counter("x", "X", ("path",), most=10)
    for n in range(100_000):
        counter.add(f"/{n}")
    counter.add("/3")

    samples = _samples(write(counter.families()))
    assert len(samples) == 11
    assert samples["x_total", OTHER] == 100_000 - 10
    assert samples["x_total", "/3"] == 2


def test_a_long_or_hostile_label_cannot_break_a_line() -> None:
    counter = Counter("x", "X", ("a", "b"))
    counter.add('"} 1\nforged{a="', "x" * 10_000)

    text = write(counter.families())
    ((name, forged, long),) = _samples(text)
    assert (name, forged, len(long)) == ("x_total", '"} 1\nforged{a="', 128)
    assert not [line for line in text.splitlines() if line.startswith("forged")]


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.0025"), (99, "+Inf")]
)
def test_a_time_is_in_the_first_bucket_that_holds_it(seconds: float, bucket: str) -> None:
    timer = Timer("t", "T")
    timer.observe(seconds)

    (family,) = read(write(timer.families()))
    first = next(one.labels["le"] for one in family.samples if one.name == "t_bucket" and one.value == 1)
    assert first == bucket
    assert {one.name: one.value for one in family.samples if one.name != "t_bucket"} == {
        "t_count": 1,
        "t_sum": seconds,
    }
    assert len([one for one in family.samples if one.name == "t_bucket"]) == len(BUCKETS) + 1


def test_several_processes_are_one_page_with_a_label_each() -> None:
    first, second = Counter("x", "X", ("a",)), Counter("x", "X", ("a",))
    first.add("1")
    second.add("1", by=2)
    pages = [({"worker": n}, read(write(one.families()))) for n, one in (("0", first), ("1", second))]

    text = write([*merge(pages), gauge("up", "Up", {(): 1.0})])

    assert text.count("# TYPE x_total counter") == 1
    assert _samples(text) == {("x_total", "1", "0"): 1, ("x_total", "1", "1"): 2, ("up",): 1}
