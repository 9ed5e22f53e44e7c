"""What a gateway node is answered when it asks for the plan: all of it, what changed, or nothing yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.events import (
    events_after,
    has_unnumbered,
    latest_number,
    number_events,
)
from ostiary.foundation.secrets import SecretBox
from ostiary.gateway import repository
from ostiary.gateway.current import CurrentPlan
from ostiary.gateway.errors import NodeGone
from ostiary.gateway.pages import Place, read_page
from ostiary.gateway.plan import Entry, PlanAnswer, to_wire
from ostiary.gateway.settings import LONG_POLL

LONGEST_WAIT: Final = LONG_POLL.total_seconds()
MOST_CHANGES: Final = 5_000
"""More changes than this are sent in several answers."""


class PlanFeed:
    """Answers long-polls of gateway nodes."""

    def __init__(self, database: Database, box: SecretBox, public_url: str, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._public_url = public_url
        self._clock = clock

    async def complete(self, node_id: str) -> PlanAnswer:
        """Return the whole plan at once, as nodes of version 0.1 ask for it."""
        await self._number()
        return await self._database.read(self._complete(node_id))

    async def page(self, node_id: str, page: str) -> PlanAnswer:
        """Return one page of the plan; an empty `page` is the first, each says which is the next.

        What changed after the number of the answers has to be asked for afterwards.

        Raises:
            InvalidPage: no answer named that page.
        """
        if not page:
            await self._number()
        return await self._database.read(self._page(node_id, page))

    async def after(self, node_id: str, number: int, wait: float, *, paged: bool = False) -> PlanAnswer:
        """Return what changed after `number`, waiting for the first change up to `wait` seconds.

        Many changes are answered as the complete plan, or, `paged`, in several answers, which are one change:
        all but the last of them say that there is `more`.

        Raises:
            TooOld: those changes are no longer known one by one; ask for the complete plan.
            NodeGone: the node was removed.
        """
        woken = asyncio.Event()
        unsubscribe = self._database.changes.subscribe(woken.set)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait, LONGEST_WAIT)
        try:
            while True:
                answer = await self._look(node_id, number, paged=paged)
                remaining = deadline - loop.time()
                if answer.number != number or remaining <= 0:
                    return answer
                with suppress(TimeoutError):
                    async with asyncio.timeout(remaining):
                        await woken.wait()
                woken.clear()
        finally:
            unsubscribe()

    async def acknowledge(self, node_id: str, number: int) -> None:
        """Note that the node uses the plan of that number; one that is not reached yet counts as none."""
        now = self._clock()

        def unit(connection: Connection) -> None:
            known = number if number <= latest_number(connection) else 0  # a backup was restored
            repository.note_seen(connection, node_id, known, now)

        await self._database.write(unit)

    async def _look(self, node_id: str, number: int, *, paged: bool) -> PlanAnswer:
        await self._number()
        return await self._database.read(self._changes(node_id, number, paged=paged))

    async def _number(self) -> None:
        if await self._database.read(has_unnumbered):
            await self._database.write(number_events)

    def _complete(self, node_id: str) -> Callable[[Connection], PlanAnswer]:
        def read(connection: Connection) -> PlanAnswer:
            current, number = self._current(connection, node_id), latest_number(connection)
            place: Place | None = Place(number)
            entries: list[Entry] = []
            while place is not None:
                things, place = read_page(current, place)
                entries += map(to_wire, things)
            return PlanAnswer(number, complete=True, entries=tuple(entries))

        return read

    def _page(self, node_id: str, page: str) -> Callable[[Connection], PlanAnswer]:
        def read(connection: Connection) -> PlanAnswer:
            place = Place.from_text(page) if page else Place(latest_number(connection))
            things, following = read_page(self._current(connection, node_id), place)
            entries = tuple(map(to_wire, things))
            text = None if following is None else following.to_text()
            return PlanAnswer(place.number, complete=True, entries=entries, next_page=text)

        return read

    def _changes(self, node_id: str, number: int, *, paged: bool) -> Callable[[Connection], PlanAnswer]:
        def read(connection: Connection) -> PlanAnswer:
            if repository.find_node(connection, node_id) is None:
                raise NodeGone
            if latest_number(connection) == number:
                return PlanAnswer(number, complete=False, entries=())
            events = events_after(connection, number, MOST_CHANGES + 1)
            more = len(events) > MOST_CHANGES
            if more and not paged:
                return self._complete(node_id)(connection)
            told = events[:MOST_CHANGES]
            entries = self._current(connection, node_id).changed(told)
            return PlanAnswer(number + len(told), complete=False, entries=tuple(entries), more=more)

        return read

    def _current(self, connection: Connection, node_id: str) -> CurrentPlan:
        return CurrentPlan(connection, self._box, self._public_url, node_id, self._clock())
