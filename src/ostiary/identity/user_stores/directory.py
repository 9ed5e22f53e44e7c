"""The live user stores of a worker: one adapter, with its connections, for each store in use.

An adapter lives as long as its store's revision. Settings are read with every login, in the
transaction that needs them anyway, so a change by another worker holds from the next login on and
there is nothing to invalidate.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from types import MappingProxyType

from pydantic import SecretStr

from ostiary.foundation.http_client import OutboundClient, OutboundPolicy
from ostiary.foundation.secrets import SecretBox, SecretUnreadable
from ostiary.foundation.telemetry import get_logger
from ostiary.identity.model import UserStoreSettings
from ostiary.identity.user_stores.breaker import CircuitBreaker
from ostiary.identity.user_stores.contract import UserStore
from ostiary.identity.user_stores.rest import RESTUserStore

_log = get_logger(__name__)

Build = Callable[[UserStoreSettings, SecretStr | None, OutboundPolicy], UserStore]


def _rest(settings: UserStoreSettings, password: SecretStr | None, policy: OutboundPolicy) -> UserStore:
    client = OutboundClient(policy, connections=settings.concurrency)
    return RESTUserStore(settings, password, client, CircuitBreaker(time.monotonic))


USER_STORES = MappingProxyType[str, Build]({"rest": _rest})
"""Type in the settings → adapter."""


class UserStores:
    """Adapters by store, made at first use and replaced when their settings change."""

    def __init__(self, box: SecretBox, policy: OutboundPolicy) -> None:
        self._box = box
        self._policy = policy
        self._live: dict[str, dict[str, tuple[int, UserStore]]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def live(self, settings: UserStoreSettings) -> UserStore:
        """The adapter for these settings."""
        stores = self._live.setdefault(settings.organization_id, {})
        revision, store = stores.get(settings.id, (0, None))
        if store is not None and revision >= settings.revision:
            return store  # a newer one where this login has read older settings
        if store is not None:
            self._retire(store)
        made = USER_STORES[settings.type](settings, self._password(settings), self._policy)
        stores[settings.id] = (settings.revision, made)
        return made

    def keep_only(self, organization_id: str, chain: Sequence[UserStoreSettings]) -> None:
        """Let go of the organization's adapters whose store is no longer in its chain."""
        stores = self._live.get(organization_id)
        if not stores or stores.keys() <= (present := {settings.id for settings in chain}):
            return
        for gone in stores.keys() - present:
            self._retire(stores.pop(gone)[1])

    async def close(self) -> None:
        """Close every adapter."""
        for stores in self._live.values():
            for _, store in stores.values():
                self._retire(store)
        self._live.clear()
        await asyncio.gather(*self._closing)

    def _retire(self, store: UserStore) -> None:
        task = asyncio.get_running_loop().create_task(store.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _password(self, settings: UserStoreSettings) -> SecretStr | None:
        if settings.sealed_password is None:
            return None
        try:
            plain = self._box.open(settings.sealed_password, settings.secret_context)
        except SecretUnreadable as error:
            _log.error("user_store_secret_unreadable", store=settings.name, reason=str(error))
            return None
        return SecretStr(plain.decode())
