"""Builders for identity tests: an organization, its users and stores, and a wired `Authentication`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from pydantic import SecretStr
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER

from ostiary.foundation.clock import Clock, utc_now
from ostiary.foundation.database import Database
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox
from ostiary.identity import (
    AuthenticatedUser,
    Authentication,
    IdentitySettings,
    StoreOptions,
    UserSpec,
    UserStoreSpec,
    hash_password,
    put_user,
    put_user_store,
    read_user_store_settings,
)
from ostiary.identity.settings import LockoutSettings, RefusalSettings
from ostiary.organizations import ChainPolicy, Organization, put

PASSWORD = "correct horse battery staple"
BOX = SecretBox(b"k" * 32)
QUICK = RefusalSettings(minimum=timedelta(milliseconds=1), percentile=0.51, headroom=1, samples=10)

PATIENT: Final = {"timeout_ms": 20_000}
"""Of stores that answer: a machine that stands still for two seconds is no outage that a test is about."""


def no_clients(*_: Any) -> list[str]:
    """No client says which stores it asks."""
    return []


@dataclass
class World:
    """One organization in a database, with everything that checks its logins."""

    database: Database
    organization: Organization
    authentication: Authentication
    clock: Clock = utc_now
    hashes: dict[str, str] = field(default_factory=dict)

    async def user(self, username: str, password: str = PASSWORD, **spec: Any) -> None:
        """A PRIMARY user."""
        password_hash = self.hashes.get(password) or await hash_password(SecretStr(password))
        self.hashes[password] = password_hash
        wanted = UserSpec(self.organization.id, username, password_hash, **spec)
        await self.database.write(lambda c: put_user(c, wanted, self.clock))

    async def store(self, url: str, name: str = "EXTERNAL", **options: Any) -> None:
        """An outside store behind `url`."""
        auth = {"basic": {"username": SERVICE_USER, "password": SERVICE_PASSWORD}}
        await self.connect("rest", {"url": url, "auth": auth}, name, **options)

    async def connect(
        self, type_name: str, settings: dict[str, Any], name: str = "EXTERNAL", **options: Any
    ) -> None:
        """An outside store of any type."""
        read = read_user_store_settings(type_name, settings)
        wanted = UserStoreSpec(
            self.organization.id, name, type_name, read, StoreOptions(**{**PATIENT, **options})
        )
        await self.database.write(lambda c: put_user_store(c, wanted, BOX))

    async def log_in(self, username: str, password: str = PASSWORD, client: str = "app") -> AuthenticatedUser:
        """Try a user name and password."""
        return await self.authentication.authenticate(
            self.organization, username, SecretStr(password), client
        )


async def a_world(
    database: Database,
    *,
    name: str = "my_company",
    chain: ChainPolicy = ChainPolicy.FIRST_KNOWN,
    clock: Clock = utc_now,
    lockout: LockoutSettings | None = None,
    refusals: RefusalSettings = QUICK,
) -> World:
    """An organization without users or stores; refusals are quick unless said otherwise."""
    organization = Organization(new_id(), name, name, chain=chain)
    await database.write(lambda c: put(c, organization))
    settings = IdentitySettings(lockout=lockout or LockoutSettings(), refusals=refusals)
    return World(
        database, organization, Authentication(database, BOX, OutboundPolicy(), settings, clock), clock
    )


@dataclass
class AdvancingClock:
    """A clock that stands still until it is told."""

    now: Any = field(default_factory=utc_now)

    def __call__(self) -> Any:
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for a condition of the outside world."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (sockets and threads tell nobody)
            await asyncio.sleep(0.005)
