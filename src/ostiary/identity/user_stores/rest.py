"""The REST user store: an organization's own login service.

We `POST {"credentials":{"username":…,"password":…}}` under HTTP Basic (RFC 7617). A 200 with
`{"response":{"status":"true"}}`, a string, is acceptance; the string "false" is a refusal that
cannot tell unknown from wrong. Everything else is no answer: a 401 means that *our* credentials
for the service are wrong, and says nothing about the user.
"""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import Field, SecretStr

from ostiary.foundation.http_client import (
    OutboundClient,
    OutboundFailed,
    OutboundPolicy,
    OutboundRefused,
)
from ostiary.foundation.secrets import random_token
from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.steps import note
from ostiary.identity.user_stores.surroundings import Surroundings
from ostiary.identity.user_stores.type_settings import Section, TypeSettings

LARGEST_ANSWER = 65_536
_DOWN = frozenset({"connect", "timeout", "protocol"})
"""Failures that say the service is down; the others say that it is wrong."""
_LONGER_THAN_ANY = timedelta(seconds=60)
"""The store's own deadline ends a request long before."""


class Basic(Section):
    """What the service asks of us: its own user name and password for us (RFC 7617)."""

    username: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^:\x00-\x1f\x7f]*$")]
    password: SecretStr | None = Field(default=None, min_length=1, max_length=1024)


class Auth(Section):
    """How a login service knows us."""

    basic: Basic


class RESTSettings(TypeSettings):
    """A RESTful authentication service."""

    ADDRESSES: ClassVar[frozenset[str]] = frozenset({"url", "auth"})

    url: str
    auth: Auth | None = None

    def check(self, policy: OutboundPolicy | None) -> None:
        """See `TypeSettings`."""
        if len(self.url) > 2000 or not self.url.isascii() or any(c <= " " or c == "#" for c in self.url):
            expected = "an https URL of at most 2000 ASCII characters without spaces or '#'"
            raise InvalidUserStore("url", expected)
        try:
            (policy or OutboundPolicy()).check_url(self.url)
        except OutboundRefused as error:
            if policy is not None or "allowed_networks" not in str(error):
                raise InvalidUserStore("url", str(error)) from error


class RESTService:
    """One login service, with its own connections."""

    def __init__(self, settings: RESTSettings, client: OutboundClient) -> None:
        self._url = settings.url
        self._headers = _headers(settings)
        self._client = client

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """See `UserStore`; never returns None, because the service cannot say "no such user"."""
        if self._headers is None:
            raise StoreUnavailable("its_password_is_not_set")
        body = {"credentials": {"username": username, "password": password.get_secret_value()}}
        status = _status(await self._send(self._headers, orjson.dumps(body)))
        if status == "false":
            raise Refused(certain=False)
        if status != "true":
            raise StoreUnavailable("not_the_agreed_form")
        return UserRecord(immutable_id=username, username=username)

    async def probe(self) -> None:
        """See `LoginService`: it is asked about somebody made up, because it understands nothing else."""
        with suppress(Refused):
            await self.authenticate(f"probe-{random_token(9)}", SecretStr(random_token()))

    async def close(self) -> None:
        """See `LoginService`."""
        await self._client.close()

    async def _send(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The body of a 200; nothing else is an answer."""
        try:
            answer = await self._client.request(
                "POST", self._url, headers, body, _LONGER_THAN_ANY, LARGEST_ANSWER
            )
        except OutboundRefused as error:
            raise StoreUnavailable(f"address_refused: {error}") from error
        except OutboundFailed as error:
            raise StoreUnavailable(error.reason, down=error.reason in _DOWN) from error
        note("request", method="POST", url=self._url, status=answer.status)
        if answer.status != 200:
            raise StoreUnavailable(f"status_{answer.status}", down=answer.status >= 500)
        return answer.body


def make_rest(settings: RESTSettings, around: Surroundings) -> RESTService:
    """The adapter of a REST user store."""
    return RESTService(settings, OutboundClient(around.policy, connections=around.options.concurrency))


def _headers(settings: RESTSettings) -> dict[str, str] | None:
    """What every request carries; None where the service's password was cleared and not set again."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "ostiary",
    }
    if settings.auth is None:
        return headers
    basic = settings.auth.basic
    if basic.password is None:
        return None
    pair = f"{basic.username}:{basic.password.get_secret_value()}"
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
