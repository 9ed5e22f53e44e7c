"""Moving away from a store: the first login that it accepts keeps the password's hash here.

What moves is the credential, not the identity: subject, name, groups and claims stay those of the old store.
Until the day, whoever's password is not the kept one is asked of the old store again, where it may have been
changed; after the day, or once the store is switched off, nobody is asked there any more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.secrets import random_token
from ostiary.foundation.telemetry import get_logger
from ostiary.identity.errors import HashingBusy, InvalidUser
from ostiary.identity.model import UserStoreSettings
from ostiary.identity.passwords import PasswordHasher
from ostiary.identity.repository import kept_credentials
from ostiary.identity.repository.kept_credentials import KeptCredential
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord, UserStore
from ostiary.identity.user_stores.steps import note

_log = get_logger(__name__)
_TRUSTED_FOR: Final = timedelta(minutes=1)


class Trust:
    """Which stores refuse somebody made up: a yes of the others proves nothing, and nothing of it is kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[int, datetime, bool]] = {}

    async def deserves(self, settings: UserStoreSettings, store: UserStore) -> bool:
        """Ask about somebody made up, and again each minute: a service may begin to accept anybody."""
        now = self._clock()
        revision, asked_at, is_trusted = self._known.get(settings.id, (0, now, False))
        if revision == settings.revision and now - asked_at < _TRUSTED_FOR:
            return is_trusted
        try:
            is_trusted = await self._refuses(store)
        except StoreUnavailable:
            return False  # it is asked again with the next login
        self._known[settings.id] = (settings.revision, now, is_trusted)
        if not is_trusted:
            advice = "nothing is kept of it: make its service refuse people who do not exist"
            _log.error("user_store_accepts_anybody", store=settings.name, advice=advice)
        return is_trusted

    async def _refuses(self, store: UserStore) -> bool:
        try:
            made_up = f"probe-{random_token(9).lower()}"
            return await store.authenticate(made_up, SecretStr(random_token())) is None
        except Refused:
            return True


class MigratingUserStore:
    """A store that is moved away from. `old` gives its adapter, where it has to be asked."""

    def __init__(
        self,
        settings: UserStoreSettings,
        old: Callable[[], UserStore],
        database: Database,
        hasher: PasswordHasher,
        trust: Trust,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._old = old
        self._database = database
        self._hasher = hasher
        self._trust = trust
        self._clock = clock

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """See `UserStore`."""
        kept = await self._kept(username)
        is_right = await self._is_right(kept, password)  # who has not moved costs a hash too
        note("kept credential", is_right=is_right)
        if kept is not None and is_right:
            return kept.record
        if self._settings.options.is_asked(self._clock()):
            return await self._ask(username, password, kept)
        note(
            "not asked any more", since="the day" if self._settings.options.enabled else "it is switched off"
        )
        if kept is not None:
            raise Refused(certain=True)
        return None

    @property
    def is_over(self) -> bool:
        """Whether the old store is asked about nobody any more."""
        return self._settings.days_left(self._clock()) == 0

    async def probe(self) -> None:
        """See `UserStore`."""
        await self._old().probe()

    async def close(self) -> None:
        """The old store's adapter is closed by whoever made it."""

    async def _ask(
        self, username: str, password: SecretStr, kept: KeptCredential | None
    ) -> UserRecord | None:
        store = self._old()
        try:
            record = await store.authenticate(username, password)
        except (Refused, StoreUnavailable):
            if kept is not None:  # known here: that the old store is gone changes nothing
                raise Refused(certain=True) from None
            raise
        if record is None and kept is not None:
            raise Refused(certain=True)
        if record is not None and await self._trust.deserves(self._settings, store):
            await self._keep(username, password, record)
        return record

    async def _is_right(self, kept: KeptCredential | None, password: SecretStr) -> bool:
        try:
            return await self._hasher.verify(password, kept.password_hash if kept else None)
        except HashingBusy as error:
            raise StoreUnavailable("hashing_busy", knows_user=kept is not None) from error

    async def _kept(self, username: str) -> KeptCredential | None:
        here, store = self._settings.organization_id, self._settings.id
        return await self._database.read(lambda c: kept_credentials.find(c, here, store, username))

    async def _keep(self, username: str, password: SecretStr, record: UserRecord) -> None:
        """Keep it; a busy pool leaves it for the next login."""
        try:
            credential = KeptCredential(record, await self._hasher.hash(password))
        except (HashingBusy, InvalidUser):
            return
        here, store, now = self._settings.organization_id, self._settings.id, self._clock()
        await self._database.write(lambda c: kept_credentials.put(c, here, store, username, credential, now))
        note("credential kept")
        _log.info("credential_kept", store=self._settings.name)
