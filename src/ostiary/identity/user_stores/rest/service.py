"""Logging in at a login service of any shape: one request, its answer, and what is asked besides.

The agreed form is `{"credentials":{"username":…,"password":…}}`, answered with 200 and
`{"response":{"status":"true"}}`, a string. What the settings do not give a meaning is no answer: a 401 says
that *our* credentials for the service are wrong, and nothing about the user.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from pydantic import SecretStr

from ostiary.foundation.http_client import (
    Answer,
    ForwardProxy,
    OutboundClient,
    OutboundFailed,
    OutboundRefused,
)
from ostiary.foundation.secrets import random_token
from ostiary.identity.user_names import canonical_or_none
from ostiary.identity.user_stores.contract import KnownUser, Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.rest.answers import Expressions, Judge, read_answer
from ostiary.identity.user_stores.rest.credentials import Credentials, NoSecret, basic, credentials
from ostiary.identity.user_stores.rest.placeholders import filled, filled_url
from ostiary.identity.user_stores.rest.settings import Attributes, Exists, Proxy, Request, RESTSettings
from ostiary.identity.user_stores.rest.templates import form_of
from ostiary.identity.user_stores.steps import note
from ostiary.identity.user_stores.surroundings import Surroundings

LARGEST_ANSWER: Final = 65_536
_DOWN: Final = frozenset({"connect", "timeout", "protocol"})
"""Failures that say the service is down; the others say that it is wrong."""
_LONGER_THAN_ANY: Final = timedelta(seconds=60)
"""The store's own deadline ends a request long before."""
_ALWAYS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "ostiary"}
_TYPES: Final = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


@dataclass(slots=True)
class _Person:
    """What is known of somebody whose password is right."""

    id: str | None = None
    name: str | None = None
    groups: frozenset[str] = frozenset()
    claims: dict[str, str] = field(default_factory=dict)

    def learn(self, expressions: Expressions, answer: Any) -> None:
        """Add what an answer says."""
        self.id = expressions.id(answer) or self.id
        self.name = expressions.name(answer) or self.name
        self.groups |= expressions.groups(answer)
        self.claims |= dict(expressions.claims(answer))


class RESTService:
    """One login service, with its own connections."""

    def __init__(
        self, settings: RESTSettings, client: OutboundClient, known_by: Credentials, *, case_sensitive: bool
    ) -> None:
        self._form = form_of(settings)
        self._client = client
        self._known_by = known_by
        self._case_sensitive = case_sensitive
        response = self._form.response
        self._judge = Judge(response)
        self._expressions = Expressions(response.id, response.groups, response.claims, response.name)
        self._attributes = [
            (one, Expressions(one.id, one.groups, one.claims)) for one in self._form.attributes
        ]
        again = self._form.look_up
        self._look_up = (
            Expressions(again.id, again.groups, again.claims, again.name, again.active) if again else None
        )

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """See `UserStore`. None only where the service can say that there is no such user."""
        request = self._form.request
        values = {"username": username, "password": password.get_secret_value()}
        url = _with_query(filled_url(self._form.url, values), filled(request.query, values))
        answer = await self._send(request.method, url, *_login(request, values))
        verdict, said = self._judge.verdict(answer.status, answer.body)
        note("verdict", means=verdict)
        if verdict == "accepted":
            return await self._record(username, said)
        exists = self._form.exists
        if verdict == "unknown" or (exists is not None and not await self._is_known(exists, username)):
            return None
        raise Refused(certain=exists is not None)

    async def look_up(self, user: KnownUser) -> UserRecord | None:
        """See `LoginService`."""
        request, expressions = self._form.look_up, self._look_up
        if request is None or expressions is None:
            raise StoreUnavailable("it has no look_up")
        values = {"username": user.known_as, "id": user.immutable_id}
        answer = await self._ask_about(request, values)
        if answer.status in request.unknown_status:
            return None
        said = _content(answer, "look_up", is_read=not expressions.are_none)
        if not expressions.is_active(said):
            raise Refused(certain=True, meaning="the person is not active")
        person = _Person()
        person.learn(expressions, said)
        for one, more in self._attributes:
            person.learn(more, _content(await self._ask_about(one, values), "attributes"))
        if person.id not in (None, user.immutable_id):
            return None  # the name is somebody else's now
        return self._told(person, user.immutable_id, user.username)

    async def probe(self) -> None:
        """See `LoginService`: it is asked about somebody made up, because it understands nothing else."""
        made_up = f"probe-{random_token(9)}"
        with suppress(Refused):
            await self.authenticate(made_up, SecretStr(random_token()))
        if self._form.look_up is None:
            return
        with suppress(Refused):
            if await self.look_up(KnownUser(made_up, made_up, made_up)) is None:
                return
        raise StoreUnavailable("look_up finds somebody made up, so it says of nobody that they are gone")

    async def close(self) -> None:
        """See `LoginService`."""
        await self._client.close()

    async def _record(self, username: str, said: Any) -> UserRecord:
        person = _Person()
        try:
            person.learn(self._expressions, said)
            for one, expressions in self._attributes:
                values = {"username": username, "id": person.id or username}
                person.learn(expressions, _content(await self._ask_about(one, values), "attributes"))
        except StoreUnavailable as outage:
            outage.knows_user = True
            raise
        return self._told(person, person.id or username, username)

    def _told(self, person: _Person, id_: str, username: str) -> UserRecord:
        name = canonical_or_none(person.name or "", case_sensitive=self._case_sensitive) or username
        note("record", id=id_, groups=sorted(person.groups), claims=person.claims)
        return UserRecord(id_, name, person.groups, person.claims)

    async def _is_known(self, settings: Exists, username: str) -> bool:
        """Whether there is such a user, asked after a refusal."""
        answer = await self._send("GET", filled_url(settings.url, {"username": username}), {}, b"")
        if answer.status in settings.known_status:
            return True
        if answer.status in settings.unknown_status:
            return False
        raise StoreUnavailable(f"exists: status_{answer.status}", down=answer.status >= 500)

    async def _ask_about(self, one: Attributes, values: Mapping[str, str]) -> Answer:
        url = _with_query(filled_url(one.url, values), filled(one.query, values))
        return await self._send(one.method, url, {}, b"")

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            sent = {**_ALWAYS, **self._known_by(method, url, body), **headers}
            answer = await self._client.request(method, url, sent, body, _LONGER_THAN_ANY, LARGEST_ANSWER)
        except OutboundRefused as error:
            raise StoreUnavailable(f"address_refused: {error}") from error
        except OutboundFailed as error:
            raise StoreUnavailable(_why(error), down=error.reason in _DOWN) from error
        note("request", method=method, url=url.partition("?")[0], status=answer.status)
        return answer


class _Unusable:
    """A service whose secret was cleared and not set again: it is not asked."""

    async def authenticate(self, _username: str, _password: SecretStr) -> UserRecord | None:
        """See `UserStore`."""
        raise StoreUnavailable("its_password_is_not_set")

    async def look_up(self, _user: KnownUser) -> UserRecord | None:
        """See `LoginService`."""
        raise StoreUnavailable("its_password_is_not_set")

    async def probe(self) -> None:
        """See `LoginService`."""
        raise StoreUnavailable("its_password_is_not_set")

    async def close(self) -> None:
        """See `LoginService`."""


def make_rest(settings: RESTSettings, around: Surroundings) -> RESTService | _Unusable:
    """The adapter of a REST user store."""
    try:
        known_by = credentials(settings.auth)
        context = _tls(settings)
    except NoSecret:
        return _Unusable()
    client = OutboundClient(around.policy, context, around.options.concurrency, _way_out(settings.proxy))
    return RESTService(settings, client, known_by, case_sensitive=around.options.case_sensitive)


def _way_out(proxy: Proxy | None) -> ForwardProxy | None:
    if proxy is None:
        return None
    return ForwardProxy(
        proxy.url, proxy.username, "" if proxy.password is None else proxy.password.get_secret_value()
    )


def _login(request: Request, values: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a login."""
    headers = dict(filled(request.headers, values))
    if request.as_user:
        headers["Authorization"] = basic(values["username"], values["password"])
    if request.method == "GET":
        return headers, b""
    body = filled(request.body, values)
    headers["Content-Type"] = _TYPES[request.format]
    return headers, orjson.dumps(body) if request.format == "json" else urlencode(body).encode()


def _content(answer: Answer, what: str, *, is_read: bool = True) -> Any:
    """The JSON of an answer about somebody."""
    if answer.status != 200:
        raise StoreUnavailable(f"{what}: status_{answer.status}", down=answer.status >= 500)
    return read_answer(answer.body) if is_read else None


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}" if query else url


def _tls(settings: RESTSettings) -> ssl.SSLContext | None:
    """TLS with what the settings say; None is the usual."""
    mine = settings.client_certificate
    if settings.ca is None and mine is None:
        return None
    try:
        context = ssl.create_default_context(cadata=settings.ca)
        if mine is not None:
            if mine.key is None:
                raise NoSecret
            with tempfile.TemporaryDirectory() as folder:  # the library takes files only
                file = Path(folder) / "client.pem"
                file.touch(0o600)
                file.write_text(f"{mine.certificate}\n{mine.key.get_secret_value()}\n")
                context.load_cert_chain(file)
    except (ssl.SSLError, ValueError) as error:
        raise NoSecret from error
    return context


def _why(error: BaseException) -> str:
    """The reason, in more words where TLS failed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        cause = cause.__cause__ or cause.__context__
    return str(getattr(error, "reason", "connect"))
