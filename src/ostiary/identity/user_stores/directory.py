"""The live user stores of a worker: one adapter, with its connections, for each store in use.

An adapter lives as long as its store's revision. Settings are read with every login, in the
transaction that needs them anyway, so a change by another worker holds from the next login on and
there is nothing to invalidate.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import SecretStr

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.secrets import SecretBox, SecretUnreadable
from ostiary.foundation.telemetry import get_logger
from ostiary.identity.identity_providers.saml.service import make_saml
from ostiary.identity.identity_providers.saml.settings import SAMLSettings
from ostiary.identity.model import UserStoreSettings
from ostiary.identity.passwords import PasswordHasher
from ostiary.identity.user_stores.breaker import CircuitBreaker
from ostiary.identity.user_stores.contract import LoginService
from ostiary.identity.user_stores.guarded import GuardedUserStore, StoreHealth
from ostiary.identity.user_stores.ldap.service import make_ldap
from ostiary.identity.user_stores.ldap.settings import ADSettings, LDAPSettings
from ostiary.identity.user_stores.rest.service import make_rest
from ostiary.identity.user_stores.rest.settings import RESTSettings
from ostiary.identity.user_stores.sql.service import make_sql
from ostiary.identity.user_stores.sql.settings import SQLSettings
from ostiary.identity.user_stores.surroundings import Surroundings
from ostiary.identity.user_stores.type_settings import Secrets, TypeSettings
from ostiary.organizations import Organization

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoreType:
    """A type of outside user store: its settings, and how its adapter is made of them.

    That of a type which takes no passwords is tested and never asked.
    """

    settings: type[TypeSettings]
    make: Callable[[Any, Surroundings], LoginService]
    """Takes the settings and the surroundings."""


USER_STORES = MappingProxyType[str, StoreType](
    {
        "rest": StoreType(RESTSettings, make_rest),
        "ldap": StoreType(LDAPSettings, make_ldap),
        "active_directory": StoreType(ADSettings, make_ldap),
        "sql": StoreType(SQLSettings, make_sql),
        "saml": StoreType(SAMLSettings, make_saml),
    }
)
"""Every type there is, by its name in an organization file."""


def looks_up(type_name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a store with these settings can be asked about people without a password."""
    return USER_STORES[type_name].settings.looks_up(settings)


def takes_passwords(type_name: str) -> bool:
    """Whether people of such a store log in with a password, or with somebody's word for them."""
    return USER_STORES[type_name].settings.TAKES_PASSWORDS


class _Live(NamedTuple):
    """An adapter, the settings it was made of, and the name of their organization."""

    organization: str
    settings: UserStoreSettings
    store: GuardedUserStore


class UserStores:
    """Adapters by store, made at first use and replaced when their settings change."""

    def __init__(self, box: SecretBox, policy: OutboundPolicy, hasher: PasswordHasher) -> None:
        self._box = box
        self._around = Surroundings(policy, hasher)
        self._live: dict[str, dict[str, _Live]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def live(self, organization: Organization, settings: UserStoreSettings) -> GuardedUserStore:
        """The adapter for these settings of a store of the organization."""
        stores = self._live.setdefault(organization.id, {})
        known = stores.get(settings.id)
        if known is not None and known.settings.revision >= settings.revision:
            return known.store  # a newer one where this login has read older settings
        if known is not None:
            self._retire(known.store)
        made = self.unshared(settings, {})
        stores[settings.id] = _Live(organization.name, settings, made)
        return made

    def keep_only(self, organization_id: str, chain: Sequence[UserStoreSettings]) -> None:
        """Let go of the organization's adapters whose store is not in its chain any more, or switched off."""
        stores = self._live.get(organization_id)
        present = {settings.id for settings in chain if settings.options.enabled}
        if not stores or stores.keys() <= present:
            return
        for gone in stores.keys() - present:
            self._retire(stores.pop(gone).store)
        if not stores:
            del self._live[organization_id]

    def health(self) -> Iterator[tuple[str, str, StoreHealth]]:
        """Organization and name of each store in use, and how it is now."""
        for stores in self._live.values():
            for organization, settings, store in stores.values():
                yield organization, settings.name, store.health()

    async def close(self) -> None:
        """Close every adapter."""
        for stores in self._live.values():
            for known in stores.values():
                self._retire(known.store)
        self._live.clear()
        await asyncio.gather(*self._closing)

    def _retire(self, store: GuardedUserStore) -> None:
        task = asyncio.get_running_loop().create_task(store.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def unshared(self, settings: UserStoreSettings, secrets: Secrets) -> GuardedUserStore:
        """An adapter for these settings that nobody else uses; `secrets` take the place of sealed ones."""
        kind = USER_STORES[settings.type]
        known = {**dict(self._secrets(settings)), **secrets}
        whole = kind.settings.read(settings.settings).with_secrets(known)
        options = settings.options
        service = kind.make(whole, replace(self._around, options=options))
        deadline = timedelta(milliseconds=options.timeout_ms)
        return GuardedUserStore(service, deadline, options.concurrency, CircuitBreaker(time.monotonic))

    def _secrets(self, settings: UserStoreSettings) -> Iterator[tuple[str, SecretStr]]:
        """What can be opened; a store without its secret is unavailable, not a mistake of its users."""
        for key, sealed in settings.sealed.items():
            try:
                yield key, SecretStr(self._box.open(sealed, settings.secret_context(key)).decode())
            except SecretUnreadable as error:
                _log.error("user_store_secret_unreadable", store=settings.name, key=key, reason=str(error))
