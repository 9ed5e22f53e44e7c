"""What does not end with its answer: WebSockets, and answers that go on for as long as somebody listens.

HAProxy notes each in a map of the worker that serves it: the number of the stream → the decision it rests on.
The agent reads the map, ends the streams that may not go on, and takes the entries out. Ordinary calls are
not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

STREAMS_MAP: Final = "streams.map"
LASTING: Final = (
    "text/event-stream",
    "application/x-ndjson",
    "application/stream+json",
    "application/grpc",
    "multipart/x-mixed-replace",
)
"""Types of answers that are sent piece by piece for as long as somebody listens."""
_ENTRY: Final = re.compile(r"0x[0-9a-f]+ (\d+) ([^:]*):(.*)")
_STREAM: Final = re.compile(r"(0x[0-9a-f]+): \[.*\] id=(\d+) ")


def read_noted(lines: Iterable[str]) -> dict[int, tuple[str, str]]:
    """Read the answer to `show map`: number of a stream → API and hashed credential."""
    found = (_ENTRY.fullmatch(line) for line in lines)
    return {int(one[1]): (one[2], one[3]) for one in found if one}


def read_streams(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Read the answer to `show sess all`: number of each stream, and what `shutdown session` takes."""
    for line in lines:
        if found := _STREAM.match(line):
            yield int(found[2]), found[1]
