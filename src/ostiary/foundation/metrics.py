"""Counts a process keeps of itself, and how they are written for Prometheus.

Counting is adding to a number in a dict. A counter has so many series at most; what would be one more is
counted under `other`, so no caller can make one without end. The library that writes the text is loaded when
somebody asks for it, not before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
OTHER: Final = "other"
MOST_SERIES: Final = 2_000
_LONGEST_LABEL: Final = 128
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of times, in seconds."""

Labels = tuple[str, ...]


class Counter:
    """A number for each combination of label values; it only grows."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), most: int = MOST_SERIES) -> None:
        """`name` without `_total`."""
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._values: dict[Labels, float] = {}
        self._most = most

    def add(self, *values: str, by: float = 1) -> None:
        """Count."""
        key = _bounded(self._values, values, self._most)
        self._values[key] = self._values.get(key, 0) + by

    def families(self) -> Iterator[Metric]:
        """Return it as the library has it."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for key, value in list(self._values.items()):
            family.add_metric(key, value)
        yield family


class Timer:
    """How long something took: a histogram of seconds for each combination of label values."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), most: int = 200) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._values: dict[Labels, list[float]] = {}
        self._most = most

    def observe(self, seconds: float, *values: str) -> None:
        """Note one."""
        key = _bounded(self._values, values, self._most)
        row = self._values.setdefault(key, [0.0] * (len(BUCKETS) + 2))
        row[bisect_left(BUCKETS, seconds)] += 1
        row[-1] += seconds

    def families(self) -> Iterator[Metric]:
        """Return it as the library has it."""
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for key, row in list(self._values.items()):
            counted, buckets = 0.0, []
            for bound, number in zip((*map(str, BUCKETS), "+Inf"), row[:-1], strict=True):
                counted += number
                buckets.append((bound, counted))
            family.add_metric(key, buckets, row[-1])
        yield family


def gauge(name: str, text: str, values: Mapping[Labels, float], labels: Sequence[str] = ()) -> Metric:
    """Return present values, at most so many."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=tuple(labels))
    for key, value in list(values.items())[:MOST_SERIES]:
        family.add_metric([label[:_LONGEST_LABEL] for label in key], value)
    return family


def write(families: Iterable[Metric]) -> str:
    """Write the text of a scrape."""
    from prometheus_client import generate_latest

    return generate_latest(_Collected(families)).decode()


def read(text: str) -> list[Metric]:
    """Read the text of a scrape.

    Raises:
        ValueError: it is none.
    """
    from prometheus_client.parser import text_string_to_metric_families

    return list(text_string_to_metric_families(text))


def merge(scrapes: Iterable[tuple[Mapping[str, str], Iterable[Metric]]]) -> list[Metric]:
    """Put several processes' families together, each sample with its process's labels."""
    merged: dict[str, Metric] = {}
    for labels, families in scrapes:
        for family in families:
            into = merged.setdefault(family.name, family)
            samples = [one._replace(labels={**one.labels, **labels}) for one in family.samples]
            into.samples = samples if into is family else into.samples + samples
    return list(merged.values())


class _Collected:
    """What the library takes for a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families
        self.collect: Callable[[], Iterable[Metric]] = lambda: self._families


def _bounded(known: Mapping[Labels, object], values: Labels, most: int) -> Labels:
    key = tuple(value[:_LONGEST_LABEL] for value in values)
    return key if key in known or len(known) < most else (OTHER,) * len(key)
