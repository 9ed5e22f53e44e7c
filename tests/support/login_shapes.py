"""Login services of other shapes than the agreed one, and adapters for them."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr
from tests.support.http_service import Answer, ForwardProxy, HTTPService, Seen

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import PasswordHasher
from ostiary.identity.user_stores.contract import LoginService, Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.rest.service import make_rest
from ostiary.identity.user_stores.rest.settings import RESTSettings
from ostiary.identity.user_stores.surroundings import Surroundings

HASHER = PasswordHasher()
USERS = {"testuser": "secret"}
LEGACY: dict[str, Any] = {
    "request": {"method": "POST", "format": "json", "body": {"user": "{username}", "secret": "{password}"}},
    "response": {
        "accepted": "result.code == `0`",
        "refused": "result.code == `7`",
        "id": "result.userId",
        "groups": "result.groups",
        "claims": {"email": "result.mail"},
    },
}
LEGACY_LOOK_UP: dict[str, Any] = {
    "active": "active",
    "id": "userId",
    "groups": "groups",
    "claims": {"email": "mail"},
}
PEOPLE = {"testuser": 4711}
"""Their numbers, by name; a negative one may not log in."""


def legacy(request: Seen) -> Answer:
    """A service of its own shape."""
    if request.method == "GET":
        return legacy_person(unquote(request.target.rpartition("/")[2]))
    said = json.loads(request.body)
    if USERS.get(said["user"]) != said["secret"]:
        return 200, {"result": {"code": 7}}
    return 200, {"result": {"code": 0, **legacy_record(said["user"], PEOPLE.get(said["user"], 0))}}


def legacy_record(name: str, number: int) -> dict[str, Any]:
    return {"userId": abs(number), "groups": ["sales"], "mail": f"{name}@legacy.example"}


def legacy_person(number: str) -> Answer:
    """What that service says without a password."""
    for name, theirs in PEOPLE.items():
        if number == str(abs(theirs)):
            return 200, {"active": theirs > 0, **legacy_record(name, theirs)}
    return 404, b""


def agent(request: Seen) -> Answer:
    """The protocol of WSO2's on-premises agent."""
    parts = urlsplit(request.target)
    steps = [unquote(step) for step in parts.path.split("/")[1:]]
    match steps:
        case ["wso2agent", "authenticate"]:
            said = json.loads(request.body)
            return 200, {"authenticated": USERS.get(said["username"]) == said["password"]}
        case ["wso2agent", "users", name, "exists"]:
            return (200 if name in USERS else 404), b""
        case ["wso2agent", "users", name, "groups"]:
            return 200, {"groups": ["sales", "stars"]}
        case ["wso2agent", "users", name]:
            names = dict(parse_qsl(parts.query))["attributes"].split(",")
            return 200, {one: f"{one} of {name}" for one in names}
    return 404, b""


class Stores:
    """Services and adapters, closed at the end."""

    def __init__(self) -> None:
        self._open: list[Any] = []

    async def service(self, answer: Callable[[Seen], Answer], **how: Any) -> HTTPService:
        made = await HTTPService(answer, **how).start()
        self._open.append(made.stop)
        return made

    async def proxy(self, authorization: str | None = None) -> ForwardProxy:
        made = await ForwardProxy(authorization).start()
        self._open.append(made.stop)
        return made

    def store(self, **said: Any) -> LoginService:
        read = RESTSettings.read(said)
        read.check(OutboundPolicy())
        made: LoginService = make_rest(read, Surroundings(OutboundPolicy(), HASHER))  # type: ignore[arg-type]
        self._open.insert(0, made.close)
        return made

    async def close(self) -> None:
        for close in self._open:
            await close()


async def ask(store: LoginService, name: str = "testuser", password: str = "secret") -> str:
    """What came of it, in a few words."""
    try:
        record = await store.authenticate(name, SecretStr(password))
    except Refused as refusal:
        return "certainly refused" if refusal.certain else "refused"
    except StoreUnavailable as outage:
        return f"unavailable: {outage.reason}"
    return "unknown" if record is None else "accepted"


async def record_of(store: LoginService, name: str = "testuser") -> UserRecord:
    record = await store.authenticate(name, SecretStr("secret"))
    assert record is not None
    return record
