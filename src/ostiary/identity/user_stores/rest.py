"""The REST user store: an organization's own login service.

We `POST {"credentials":{"username":…,"password":…}}` under HTTP Basic (RFC 7617). A 200 with
`{"response":{"status":"true"}}`, a string, is acceptance; the string "false" is a refusal that
cannot tell unknown from wrong. Everything else is no answer: a 401 means that *our* credentials
for the service are wrong, and says nothing about the user.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import orjson
from pydantic import SecretStr

from ostiary.foundation.http_client import Answer, OutboundClient, OutboundFailed, OutboundRefused
from ostiary.foundation.secrets import random_token
from ostiary.identity.model import UserStoreSettings
from ostiary.identity.user_stores.breaker import CircuitBreaker, CircuitOpen
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord

LARGEST_ANSWER = 65_536
_COUNTED = frozenset({"connect", "timeout", "protocol"})
"""Failures that say the service is down; the others say that it is wrong."""


class RESTUserStore:
    """One login service, with its own connections, limit, deadline and circuit breaker."""

    def __init__(
        self,
        settings: UserStoreSettings,
        password: SecretStr | None,
        client: OutboundClient,
        breaker: CircuitBreaker,
    ) -> None:
        self._settings = settings
        self._headers = _headers(settings, password)
        self._client = client
        self._breaker = breaker
        self._limiter = asyncio.Semaphore(settings.concurrency)

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """See `UserStore`; never returns None, because the service cannot say "no such user"."""
        answer = await self._ask(username, password)
        if answer.status != 200:
            raise StoreUnavailable(f"status_{answer.status}")
        status = _status(answer.body)
        if status == "false":
            raise Refused(certain=False)
        if status != "true":
            raise StoreUnavailable("not_the_agreed_form")
        return UserRecord(immutable_id=username, username=username)

    async def probe(self) -> None:
        """See `UserStore`: it is asked about somebody made up, because it understands nothing else."""
        with suppress(Refused):
            await self.authenticate(f"probe-{random_token(9)}", SecretStr(random_token()))

    async def close(self) -> None:
        """Let what is under way end, then close the connections."""
        for _ in range(self._settings.concurrency):
            await self._limiter.acquire()
        await self._client.close()

    async def _ask(self, username: str, password: SecretStr) -> Answer:
        if self._headers is None:
            raise StoreUnavailable("its_password_is_not_set")
        body = {"credentials": {"username": username, "password": password.get_secret_value()}}
        whole = self._settings.timeout.total_seconds()
        end = asyncio.get_running_loop().time() + whole
        try:
            async with self._place(end):
                left = end - asyncio.get_running_loop().time()
                return await self._send(self._headers, orjson.dumps(body), left, counted=left > whole / 2)
        except CircuitOpen as error:
            raise StoreUnavailable("circuit_open", error.retry_after) from error

    @asynccontextmanager
    async def _place(self, end: float) -> AsyncIterator[None]:
        """One of the store's places; waiting for it is part of the deadline."""
        self._breaker.check()
        try:
            async with asyncio.timeout_at(end):
                await self._limiter.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("too_many_logins") from error
        try:
            yield
        finally:
            self._limiter.release()

    async def _send(self, headers: Mapping[str, str], body: bytes, left: float, *, counted: bool) -> Answer:
        """One request. A time-out counts against the store only if it had most of the deadline."""
        self._breaker.enter()
        try:
            answer = await self._client.request(
                "POST", self._settings.url, headers, body, timedelta(seconds=left), LARGEST_ANSWER
            )
        except OutboundRefused as error:
            self._breaker.abandoned()
            raise StoreUnavailable(f"address_refused: {error}") from error
        except OutboundFailed as error:
            down = error.reason in _COUNTED and (counted or error.reason != "timeout")
            self._breaker.failed() if down else self._breaker.abandoned()
            raise StoreUnavailable(error.reason) from error
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.failed() if answer.status >= 500 else self._breaker.succeeded()
        return answer


def _headers(settings: UserStoreSettings, password: SecretStr | None) -> dict[str, str] | None:
    """What every request carries; None where the service's password was cleared and not set again."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "ostiary",
    }
    if settings.basic_username is None:
        return headers
    if password is None:
        return None
    pair = f"{settings.basic_username}:{password.get_secret_value()}"
    return {**headers, "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _status(body: bytes) -> object:
    """`response.status` of the agreed form; None for everything else, a repeated member included."""
    try:
        answer = json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    response = answer.get("response") if isinstance(answer, dict) else None
    status = response.get("status") if isinstance(response, dict) else None
    return status if isinstance(status, str) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members
