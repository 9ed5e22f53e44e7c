"""Backends of APIs' own on this node: written, checked, loaded by a reload; what does not load is left out.

A change of maps never waits for this. Reloads are a second apart, and wait while several old workers still
finish their streams. A backend that HAProxy refuses is found by halves and quarantined until its API says
something else; the others are loaded. The file in place has always been checked, so a HAProxy that starts by
itself can load it. Addresses alone change without a reload.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Final, Protocol

from ostiary.foundation.telemetry import get_logger
from ostiary.gateway.haproxy import (
    MAPS,
    OWN_CONFIG,
    OWN_FILES,
    OWN_MAP,
    STREAMS_MAP,
    OwnBackend,
    Resolve,
    own_config,
    own_map,
    with_system_ca,
)
from ostiary.gateway.node.runtime import HAProxyRuntime, RuntimeRefused, RuntimeUnavailable
from ostiary.gateway.supervise import BadConfiguration, HAProxyUnusable

_log = get_logger(__name__)
GAP: Final = 1.0
"""Seconds between two reloads."""
OLD_WORKERS_AT_MOST: Final = 4
_LOOK_AGAIN: Final = 0.5
_CANDIDATE: Final = "own.new.cfg"
Loaded = Callable[[frozenset[str]], Awaitable[None]]


class Checker(Protocol):
    """What says whether a configuration loads: `HAProxy`."""

    def check(self, run: Path, name: str, own: str) -> None: ...


class Steady:
    """Addresses of names, never fewer than there once were: a shrinking answer repeats some.

    The number of servers is part of the configuration, so a name whose answers come and go costs no reloads.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._most: dict[tuple[str, int], int] = {}

    def lookup(self, host: str, port: int) -> tuple[str, ...]:
        """Return what is known now, without waiting."""
        found = tuple(self._resolve(host, port))
        if not found:
            return ()
        most = self._most[host, port] = max(len(found), self._most.get((host, port), 0))
        return tuple(islice(cycle(found), most))


class OwnBackends:
    """What is wanted, what is in service, what is quarantined."""

    def __init__(
        self,
        run: Path,
        checker: Callable[[], Checker],
        runtime: HAProxyRuntime,
        loaded: Loaded,
        system_ca: Path | None,
    ) -> None:
        """`checker` finds the program (blocking); `loaded` is told whose routes have to be drawn again."""
        self._run = run
        self._checker = cache(checker)
        self._runtime = runtime
        self._loaded = loaded
        self._system_ca = None if system_ca is None else str(system_ca)
        self._wanted: dict[str, dict[str, OwnBackend]] = {}
        self._served: dict[str, OwnBackend] = {}
        self._quarantined: dict[str, tuple[OwnBackend, str]] = {}
        self._before: dict[str, str] = {}
        self._woken = asyncio.Event()

    @property
    def quarantined(self) -> Mapping[str, str]:
        """Names of backends that HAProxy refuses → what it says."""
        return {name: reason for name, (_, reason) in self._quarantined.items()}

    def item(self, name: str) -> str:
        """What the route of an API says of a backend of its own now."""
        if name in self._served:
            return f"@{name}"
        if name in self._quarantined:
            return "!quarantined"
        return self._before.get(name, "!pending")

    def want(self, api_id: str, backends: Iterable[OwnBackend], before: Mapping[str, str]) -> None:
        """Take what an API needs from now on; `before` is what its routes said while it needed none."""
        wanted = {one.name: one for one in backends}
        if wanted == self._wanted.get(api_id, {}):
            return
        self._before |= {name: text for name, text in before.items() if name in wanted}
        if wanted:
            self._wanted[api_id] = wanted
        else:
            del self._wanted[api_id]
        self._woken.set()

    async def start(self) -> None:
        """Write what HAProxy loads when it starts; one that runs already loads it now. Never fails."""
        self._woken.clear()
        if self._all_wanted() or self._on_disk():
            try:
                await self._bring(at_start=True)
            except (OSError, HAProxyUnusable, RuntimeUnavailable):
                _log.exception("own_backends_not_loaded")
                self._woken.set()

    async def run(self) -> None:
        """Load what is wanted, again and again, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._bring()
            except (OSError, HAProxyUnusable, RuntimeUnavailable):
                _log.exception("own_backends_not_loaded")
                self._woken.set()
            await asyncio.sleep(GAP)

    async def _bring(self, *, at_start: bool = False) -> None:
        wanted = self._all_wanted()
        self._quarantined = {
            name: (one, reason)
            for name, (one, reason) in self._quarantined.items()
            if _content(wanted.get(name)) == _content(one)
        }
        candidates = {name: one for name, one in wanted.items() if name not in self._quarantined}
        if candidates == self._served and not at_start:
            return
        if not at_start and _only_moved(self._served, candidates):
            await self._move(candidates)
        else:
            await self._load(candidates)

    async def _load(self, candidates: dict[str, OwnBackend]) -> None:
        await self._until_few_old_workers()
        before = self._served
        good = await asyncio.to_thread(self._checked, candidates)
        await asyncio.to_thread(self._put, good)
        try:
            await self._runtime.reload()
        except RuntimeUnavailable:
            pass  # it does not run, and loads the files when it starts
        except RuntimeRefused as error:
            changed = {name: one for name, one in candidates.items() if before.get(name) != one}
            await asyncio.to_thread(self._put, before)
            self._quarantine(changed, str(error))
            await self._tell(changed)
            return
        self._served = good
        await self._tell(name for name in {*before, *candidates} if not (name in good and name in before))
        _log.info("own_backends_loaded", backends=len(good), quarantined=len(self._quarantined))

    async def _tell(self, names: Iterable[str]) -> None:
        for name in (*self._served, *self._quarantined):
            self._before.pop(name, None)
        await self._loaded(frozenset(_api_of(name) for name in names))

    async def _move(self, candidates: dict[str, OwnBackend]) -> None:
        """Change addresses in place, in the running workers and for the next start."""
        moves = [
            (f"{name}/{name}-{number}", *slot)
            for name, one in candidates.items()
            for number, slot in enumerate(one.slots, 1)
            if self._served[name].slots[number - 1] != slot
        ]
        await asyncio.to_thread(self._put, candidates)
        await self._runtime.move_servers(moves)
        self._served = candidates
        _log.info("own_backends_moved", servers=len(moves))

    async def _until_few_old_workers(self) -> None:
        """Old workers end on their own (`hard-stop-after`)."""
        while True:
            try:
                workers = await self._runtime.workers()
            except RuntimeUnavailable:
                return
            if sum(worker.old for worker in workers) < OLD_WORKERS_AT_MOST:
                return
            await asyncio.sleep(_LOOK_AGAIN)

    def _checked(self, candidates: Mapping[str, OwnBackend]) -> dict[str, OwnBackend]:
        """The backends that load; the others are quarantined. Blocking."""
        if not candidates:
            return {}
        checker = self._checker()
        self._write_files(candidates.values())
        bad: dict[str, str] = {}
        self._look_for_bad(checker, list(candidates.values()), bad)
        for name, reason in bad.items():
            self._quarantine({name: candidates[name]}, reason)
        return {name: one for name, one in candidates.items() if name not in bad}

    def _look_for_bad(self, checker: Checker, backends: Sequence[OwnBackend], bad: dict[str, str]) -> None:
        try:
            _write(self._run / _CANDIDATE, self._config(backends))
            checker.check(self._run, "gateway", _CANDIDATE)
        except BadConfiguration as error:
            if len(backends) == 1:
                bad[backends[0].name] = str(error)
                return
            middle = len(backends) // 2
            self._look_for_bad(checker, backends[:middle], bad)
            self._look_for_bad(checker, backends[middle:], bad)

    def _quarantine(self, backends: Mapping[str, OwnBackend], reason: str) -> None:
        for name, one in backends.items():
            self._quarantined[name] = (one, reason)
            _log.error("backend_quarantined", backend=name, api=one.api_id, reason=reason)

    def _put(self, backends: Mapping[str, OwnBackend]) -> None:
        """Put these in place, and remove the files that nothing names any more. Blocking."""
        self._write_files(backends.values())
        _write(self._run / MAPS / OWN_MAP, own_map(backends.values()))
        _write(self._run / OWN_CONFIG, self._config(backends.values()))
        (self._run / _CANDIDATE).unlink(missing_ok=True)
        needed = {name for one in backends.values() for name in one.files}
        for path in (self._run / OWN_FILES).iterdir():
            if path.name not in needed:
                path.unlink()

    def _write_files(self, backends: Iterable[OwnBackend]) -> None:
        folder = self._run / OWN_FILES
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, text in {name: text for one in backends for name, text in one.files.items()}.items():
            if not (folder / name).exists():
                _write(folder / name, text)

    def _config(self, backends: Iterable[OwnBackend]) -> str:
        return with_system_ca(own_config(backends), self._system_ca)

    def _all_wanted(self) -> dict[str, OwnBackend]:
        return {name: one for own in self._wanted.values() for name, one in own.items()}

    def _on_disk(self) -> bool:
        """Whether HAProxy may have loaded a backend of an API's own."""
        try:
            return "\nbackend " in (self._run / OWN_CONFIG).read_text()
        except OSError:
            return False


def prepare_own(run: Path) -> None:
    """Make what HAProxy loads exist, empty: the agent fills it before HAProxy starts."""
    (run / MAPS).mkdir(mode=0o700, exist_ok=True)
    (run / OWN_FILES).mkdir(mode=0o700, exist_ok=True)
    _write(run / MAPS / OWN_MAP, "")
    _write(run / MAPS / STREAMS_MAP, "")
    _write(run / OWN_CONFIG, own_config(()))


def _api_of(name: str) -> str:
    return name.removeprefix("own-").rpartition("-")[0]


def _content(backend: OwnBackend | None) -> object:
    """What a check judges: everything but the addresses."""
    return None if backend is None else (backend.section, backend.map, backend.files)


def _only_moved(before: Mapping[str, OwnBackend], after: Mapping[str, OwnBackend]) -> bool:
    if before.keys() != after.keys():
        return False
    return all(_content(before[name]) == _content(one) for name, one in after.items())


def _write(path: Path, text: str) -> None:
    """Write a private file in one step."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
