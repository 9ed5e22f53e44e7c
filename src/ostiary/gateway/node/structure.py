"""The structure's maps in memory and as files, so that a HAProxy started at any time loads the truth.

The files of decisions and of the plan's number stay empty: those are written at run time only, and a
worker that has not been given them holds calls back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ostiary.gateway.haproxy import MapEntry, map_files


class Structure:
    """Maps as file name → key → value, and the folder HAProxy loads them from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: dict[str, dict[str, str]] = {}
        self._stale: set[str] = set(map_files())

    def replace(self, maps: Mapping[str, Mapping[str, str]]) -> list[MapEntry]:
        """Take these maps as the truth; returns how to get there from the last one."""
        after = {name: dict(entries) for name, entries in maps.items()}
        changes = [
            MapEntry(name, key, value)
            for name, entries in after.items()
            for key, value in entries.items()
            if self._maps.get(name, {}).get(key) != value
        ]
        gone = [
            MapEntry(name, key, None)
            for name, entries in self._maps.items()
            for key in entries
            if key not in after.get(name, {})
        ]
        self._stale |= {change.map for change in (*changes, *gone)}
        self._maps = after
        return [*changes, *gone]

    def change(self, changes: Iterable[MapEntry]) -> list[MapEntry]:
        """Take these changes; returns those that make a difference."""
        different = []
        for change in changes:
            entries = self._maps.setdefault(change.map, {})
            if entries.get(change.key) == change.value:
                continue
            if change.value is None:
                del entries[change.key]
            else:
                entries[change.key] = change.value
            different.append(change)
            self._stale.add(change.map)
        return different

    def content(self, name: str) -> list[tuple[str, str]]:
        """Return the entries of one map."""
        return list(self._maps.get(name, {}).items())

    def write(self) -> None:
        """Write the files that differ from the truth, each in one step. Blocking."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in tuple(self._stale):
            text = "".join(f"{key} {value}\n" for key, value in self._maps.get(name, {}).items())
            temporary = self._folder / f".{name}.new"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            temporary.replace(self._folder / name)
            self._stale.discard(name)
