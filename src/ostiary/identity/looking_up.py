"""Asking a user store again about somebody who has logged in: without a password, by the immutable id.

Called where something that began with a login goes on (refresh). Questions about one person share one
look-up, which has a place, a deadline and the circuit breaker of the store like any login there. A store that
cannot say at the moment changes nothing: how long its last word holds is the caller's rule.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.telemetry import get_logger
from ostiary.identity.belonging import bounded, learn
from ostiary.identity.model import Subject
from ostiary.identity.repository import subjects
from ostiary.identity.repository.subjects import Known
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.directory import UserStores, looks_up
from ostiary.identity.user_stores.steps import note
from ostiary.organizations import Organization, narrow

_log = get_logger(__name__)


class Told(StrEnum):
    """What a store said of somebody without a password."""

    PRESENT = "present"
    """The same person is there and may log in."""
    GONE = "gone"
    """Nobody has that identifier any more, whoever has the name now."""
    BARRED = "barred"
    """The person is there and may not log in."""
    NOTHING = "nothing"
    """It cannot say, at the moment or ever."""

    @property
    def ends(self) -> bool:
        """Whether nothing that began with a login may go on."""
        return self in (Told.GONE, Told.BARRED)


class LookUps:
    """Look-ups of one worker, each shared by all who ask for it meanwhile."""

    def __init__(self, database: Database, stores: UserStores, clock: Clock) -> None:
        self._database = database
        self._stores = stores
        self._clock = clock
        self._under_way: dict[tuple[str, str], asyncio.Task[Told]] = {}

    async def ask(self, organization: Organization, subject: Subject, since: datetime | None) -> Told:
        """Ask the subject's store, unless it has said something new `since` then, and keep what it says.

        Changed groups and claims are kept as at a login; tokens of who is gone or barred are refused.
        """
        key = (organization.id, subject.id)
        if key not in self._under_way:
            task = asyncio.get_running_loop().create_task(self._ask(organization, subject, since))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(self._under_way[key])  # whoever hangs up takes it from nobody else

    async def rehearse(self, organization: Organization, subject: Subject) -> None:
        """Note for whoever watches what a refresh would be told, without keeping anything."""
        known = await self._known(subject)
        if known is None:
            return  # of PRIMARY, which our own rows tell
        if not looks_up(known.settings.type, known.settings.settings):
            note("cannot be looked up", means="refresh ends some time after the last password")
            return
        told, _, _ = await self._look_up(organization, known)
        if told is not Told.PRESENT:
            note(
                "a refresh would not find this user",
                advice="see how the store finds people without a password",
            )

    async def close(self) -> None:
        """Let what is under way end."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _ask(self, organization: Organization, subject: Subject, since: datetime | None) -> Told:
        asked_at, known = self._clock(), await self._known(subject)
        if known is None:
            return Told.NOTHING
        if known.confirmed_at != since:
            return Told.PRESENT
        told, record, reason = await self._look_up(organization, known)
        user = subject.display(organization.name)
        if told is Told.NOTHING:
            _log.warning("user_not_confirmed", user=user, reason=reason)
            return told
        kept = await self._database.write(lambda c: _keep(c, subject, told, record, asked_at))
        _log.info("user_looked_up", user=user, told=str(kept), reason=reason)
        return kept

    async def _known(self, subject: Subject) -> Known | None:
        return await self._database.read(lambda c: subjects.known(c, subject.organization_id, subject.id))

    async def _look_up(self, organization: Organization, known: Known) -> tuple[Told, UserRecord | None, str]:
        """What the store says; the reason is for the log."""
        settings, user = known.settings, known.user
        note("looks up", store=settings.name, id=user.immutable_id)
        try:
            record = await self._stores.live(organization, settings).look_up(user)
        except Refused as refusal:
            told, record, reason = Told.BARRED, None, refusal.meaning
        except StoreUnavailable as outage:
            told, record, reason = Told.NOTHING, None, outage.reason
        else:
            told, reason = (Told.GONE if record is None else Told.PRESENT), ""
        note("told", store=settings.name, answer=str(told), **({"reason": reason} if reason else {}))
        return told, record, reason


def _keep(
    connection: Connection, subject: Subject, told: Told, record: UserRecord | None, asked_at: datetime
) -> Told:
    """Keep what a store said when asked at that time, unless it has said something newer since."""
    here = subject.organization_id
    if record is not None:
        if subjects.confirm(connection, here, subject.id, record.username, asked_at):
            learn(connection, subject, subjects.told(connection, here, subject.id), bounded(record))
        return told
    if subjects.is_confirmed_since(connection, here, subject.id, asked_at):
        return Told.PRESENT
    narrow(connection, here, "subject", subject.id)
    return told
