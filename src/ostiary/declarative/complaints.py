"""What is wrong with an organization file, and where: one complaint a mistake, all of them at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice

Path = tuple[str | int, ...]
"""Where in the file: keys and list indexes from the top."""

_MOST_COMPARED = 200


def steps_of(field: str) -> Path:
    """A dotted key as a path: `urls.0` is the first entry of `urls`."""
    return tuple(int(step) if step.isdigit() else step for step in field.split(".")) if field else ()


class Unacceptable(ValueError):
    """A value a rule refuses; `found` shows it as far as it may be shown."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.found = found
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Complaint:
    """One mistake. Without `expected`, `found` is the whole sentence.

    `line` and `column` count from 1 and are 0 where only the server knows the path.
    """

    path: Path
    found: str
    expected: str
    hint: str = ""
    source: str = ""
    line: int = 0
    column: int = 0

    @property
    def where(self) -> str:
        """The path as people write it: `apis[0].resources[2].method`."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).lstrip(".")

    @property
    def place(self) -> str:
        """`FILE:LINE:COLUMN`, as editors understand it."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.where, self.text) if part)

    @property
    def text(self) -> str:
        """The mistake itself, without its place."""
        found = f"found {self.found}" if self.found and self.expected else self.found
        expected = f"expected {self.expected}" if self.expected else ""
        hint = f" ({self.hint})" if self.hint else ""
        return ", ".join(part for part in (found, expected) if part) + hint

    def under(self, *steps: str | int) -> "Complaint":
        """The same complaint about something that is a part of something else."""
        return replace(self, path=(*steps, *self.path))

    def relative(self, path: Path) -> "Complaint":
        """The same complaint with another path: that within its file."""
        return replace(self, path=path)

    def at(self, source: str, line: int, column: int) -> "Complaint":
        """The same complaint with its place."""
        return replace(self, source=source, line=line, column=column)


class Refused(Exception):
    """The files cannot be applied; nothing was changed."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(map(str, self.complaints)))


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """A hint naming the closest known word; empty where none is close."""
    by_folded = {word.casefold(): word for word in islice(known, _MOST_COMPARED)}
    begun = [word for word in by_folded if len(text) > 2 and word.startswith(text.casefold())]
    close = get_close_matches(text.casefold(), by_folded, n=1, cutoff=0.6) or begun[:1]
    return f"did you mean {by_folded[close[0]]!r}?" if close else ""
