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
from ostiary.gateway.plan import PlanAnswer

LONGEST_WAIT: Final = 25.0
_MOST_CHANGES: Final = 5_000
"""More changes than this are sent as the complete plan."""


class PlanFeed:
    """Answers long-polls of gateway nodes."""

    def __init__(self, database: Database, box: SecretBox, public_url: str, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._public_url = public_url
        self._clock = clock

    async def complete(self, node_id: str) -> PlanAnswer:
        """Return the whole plan."""
        await self._number()
        return await self._database.read(self._complete(node_id))

    async def after(self, node_id: str, number: int, wait: float) -> PlanAnswer:
        """Return what changed after `number`, waiting for the first change up to `wait` seconds.

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
                answer = await self._look(node_id, number)
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
        """Note that the node has the plan of that number."""
        now = self._clock()
        await self._database.write(lambda connection: repository.note_seen(connection, node_id, number, now))

    async def _look(self, node_id: str, number: int) -> PlanAnswer:
        await self._number()
        return await self._database.read(self._changes(node_id, number))

    async def _number(self) -> None:
        if await self._database.read(has_unnumbered):
            await self._database.write(number_events)

    def _complete(self, node_id: str) -> Callable[[Connection], PlanAnswer]:
        def read(connection: Connection) -> PlanAnswer:
            entries = self._current(connection, node_id).everything()
            return PlanAnswer(latest_number(connection), complete=True, entries=tuple(entries))

        return read

    def _changes(self, node_id: str, number: int) -> Callable[[Connection], PlanAnswer]:
        def read(connection: Connection) -> PlanAnswer:
            if repository.find_node(connection, node_id) is None:
                raise NodeGone
            latest = latest_number(connection)
            if latest == number:
                return PlanAnswer(number, complete=False, entries=())
            events = events_after(connection, number)
            if len(events) > _MOST_CHANGES:
                return self._complete(node_id)(connection)
            entries = self._current(connection, node_id).changed(events)
            return PlanAnswer(latest, complete=False, entries=tuple(entries))

        return read

    def _current(self, connection: Connection, node_id: str) -> CurrentPlan:
        return CurrentPlan(connection, self._box, self._public_url, node_id, self._clock())
