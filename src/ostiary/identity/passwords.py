"""Password hashes: Argon2id (RFC 9106) on a bounded pool.

One thread a core, because a hash keeps a core and 19 MiB busy; behind a full queue the answer is
"busy", never a longer wait. Nothing here runs inside a transaction.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import SecretStr

from ostiary.identity import hashes
from ostiary.identity.errors import HashingBusy, InvalidUser
from ostiary.identity.settings import HashingSettings
from ostiary.identity.user_names import is_text

LONGEST_PASSWORD = 1024
"""Characters. Longer input is refused before it is hashed or sent anywhere."""

Result = TypeVar("Result")
_ARGON2 = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=argon2.Type.ID)
_OURS = "$argon2id$"
NO_PASSWORD = "$argon2id$v=19$m=19456,t=2,p=1$" + 22 * "A" + "$" + 43 * "A"
"""The hash of no password: of nobody, and of users who have none yet. It takes as long as any other."""


class PasswordHasher:
    """Hashes and verifies, at most one a core at a time."""

    def __init__(self, settings: HashingSettings | None = None) -> None:
        limits = settings or HashingSettings()
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="password")
        self._most = limits.threads + limits.queue
        self._under_way = 0

    async def hash(self, password: SecretStr) -> str:
        """The PHC string of a new password.

        Raises:
            InvalidUser: empty, blank, NUL-bearing or too long.
            HashingBusy: the queue is full.
        """
        if not is_acceptable(password):
            raise InvalidUser(
                "password", f"1 to {LONGEST_PASSWORD} characters, not only spaces, without NUL, valid Unicode"
            )
        return await self._run(lambda: _ARGON2.hash(password.get_secret_value()))

    async def verify(self, password: SecretStr, known_hash: str | None) -> bool:
        """Whether the password belongs to the hash. None (nobody) takes as long and is never right.

        Raises:
            HashingBusy: the queue is full.
        """
        matches = await self._run(lambda: _matches(known_hash or NO_PASSWORD, password.get_secret_value()))
        return matches and known_hash is not None

    async def compute(self, work: Callable[[], Result]) -> Result:
        """Do other work of that kind, such as verifying a hash that others made.

        Raises:
            HashingBusy: the queue is full.
        """
        return await self._run(work)

    def is_outdated(self, known_hash: str) -> bool:
        """Whether the hash was made with other parameters than ours now."""
        return not known_hash.startswith(_OURS) or _ARGON2.check_needs_rehash(known_hash)

    async def close(self) -> None:
        """Finish what is running and end the threads."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._under_way >= self._most:
            raise HashingBusy(f"{self._most} passwords are being checked already")
        self._under_way += 1
        loop = asyncio.get_running_loop()
        future: Future[Result] = self._pool.submit(work)
        future.add_done_callback(lambda _: _in_loop(loop, self._done))
        return await asyncio.wrap_future(future)

    def _done(self) -> None:
        self._under_way -= 1


async def hash_password(password: SecretStr, hasher: PasswordHasher | None = None) -> str:
    """Hash a password for `UserSpec.password_hash`; without a hasher, on a thread of its own.

    Raises:
        InvalidUser: empty, blank, NUL-bearing or too long.
        HashingBusy: the hasher's queue is full.
    """
    if hasher is not None:
        return await hasher.hash(password)
    alone = PasswordHasher(HashingSettings(threads=1))
    try:
        return await alone.hash(password)
    finally:
        await alone.close()


def is_acceptable(password: SecretStr) -> bool:
    """Whether a store may be asked at all: an empty password is an unauthenticated bind elsewhere."""
    text = password.get_secret_value()
    return is_text(text, LONGEST_PASSWORD) and not text.isspace()


def _matches(known_hash: str, password: str) -> bool:
    if not known_hash.startswith(_OURS):
        return hashes.verify(known_hash, SecretStr(password))  # imported, and not used since
    try:
        return _ARGON2.verify(known_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _in_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback)
