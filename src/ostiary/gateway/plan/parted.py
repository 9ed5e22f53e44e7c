"""A frozen mapping in parts: the next one shares every part in which nothing changed.

A plan of a million subscriptions is followed by another at every change; copying whole mappings would make a
change cost what the plan is large, and garbage collection with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_PARTS: Final = 1_024
_SHIFT: Final = 40
"""The lowest bits of a hash choose the place within a part, so the part is chosen by others."""


class _InParts(Mapping[K, V]):
    """How a key is found."""

    __slots__ = ("_parts",)
    _parts: Sequence[dict[K, V]]

    def _part(self, key: object) -> dict[K, V]:
        return self._parts[_number(key)]

    def __getitem__(self, key: K) -> V:
        return self._part(key)[key]

    def get(self, key: K, default: V | None = None) -> V | None:  # type: ignore[override]
        """Return the value, or the default; the usual way of mappings raises and catches."""
        return self._part(key).get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._part(key)

    def __iter__(self) -> Iterator[K]:
        for part in self._parts:
            yield from part

    def __len__(self) -> int:
        return sum(map(len, self._parts))


class Parted(_InParts[K, V]):
    """An immutable mapping, in no particular order."""

    __slots__ = ("_length",)

    def __init__(self, parts: tuple[dict[K, V], ...] = ({},) * _PARTS) -> None:
        """Take these parts, as an `Edit` made them; without any, be empty."""
        self._parts = parts
        self._length = sum(map(len, parts))

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return repr(dict(self))

    def edit(self) -> Edit[K, V]:
        """Begin the next mapping."""
        return Edit(self._parts)


class Edit(_InParts[K, V], MutableMapping[K, V]):
    """The mapping that comes next; a part is copied before its first change."""

    _parts: list[dict[K, V]]

    def __init__(self, parts: Sequence[dict[K, V]]) -> None:
        self._parts = list(parts)
        self._copied: set[int] = set()

    def done(self) -> Parted[K, V]:
        """Return it, frozen: it is not to be changed any more."""
        return Parted(tuple(self._parts))

    def __setitem__(self, key: K, value: V) -> None:
        self._open(key)[key] = value

    def __delitem__(self, key: K) -> None:
        del self._open(key)[key]

    def _open(self, key: K) -> dict[K, V]:
        number = _number(key)
        if number not in self._copied:
            self._parts[number] = dict(self._parts[number])
            self._copied.add(number)
        return self._parts[number]


def _number(key: object) -> int:
    return hash(key) >> _SHIFT & _PARTS - 1


def parted(mapping: Mapping[K, V]) -> Parted[K, V]:
    """Return the mapping in parts."""
    if isinstance(mapping, Parted):
        return mapping
    edit = Parted[K, V]().edit()
    edit.update(mapping)
    return edit.done()
