"""The whole control plane, asked from the sockets a test says: what only the platform may do."""

import asyncio
import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
from pydantic import SecretStr
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.app import Settings
from ostiary.foundation.certificates import new_key, signing_request
from ostiary.foundation.database import Database, write_engine
from ostiary.identity import bootstrap_admin
from ostiary.identity.bootstrap import ADMINISTRATOR
from ostiary.organizations import find
from ostiary.permissions import a_user, give_admin_role

NODES = "/api/server/v1/gateway-nodes"
INTERNAL = "/internal/gateway/v1"
PASSWORD = "correct horse battery staple"


class Where:
    """Marks requests as accepted on the socket the test says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            marks = dict(scope["headers"]).get(b"x-test-socket", b"").decode()
            scope["headers"] = [one for one in scope["headers"] if one[0] != b"x-test-socket"]
            if marks:
                scope.setdefault("state", {})[marks] = True
        await self._app(scope, receive, send)


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Platform:
    """The whole control plane; `local` administers it, `nodes` is what the node listener passes on."""

    client: TestClient
    settings: Settings
    clock: Clock

    def local(self, method: str, path: str, **more: Any) -> httpx2.Response:
        return self.client.request(method, path, headers={"X-Test-Socket": "local_administrator"}, **more)

    def nodes(self, method: str, path: str, node: str | None = None, **more: Any) -> httpx2.Response:
        headers = {"X-Test-Socket": "node_listener", **({} if node is None else {"X-Ostiary-Node": node})}
        return self.client.request(method, path, headers={**headers, **more.pop("headers", {})}, **more)

    def token(self, name: str = "edge-1") -> str:
        answer = self.local("POST", NODES, json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def enrol(self, token: str, request: bytes | None = None) -> httpx2.Response:
        asked = (signing_request(new_key()) if request is None else request).decode()
        return self.nodes("POST", f"{INTERNAL}/enrol", json={"token": token, "request": asked})

    def enrolled(self, name: str = "edge-1") -> str:
        answer = self.enrol(self.token(name))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["node_id"])

    def listed(self) -> dict[str, str]:
        return {one["name"]: one["state"] for one in self.local("GET", NODES).json()["list"]}


def an_administrator(settings: Settings, organization: str) -> dict[str, str]:
    """The user `admin` of an organization, with the built-in role there."""

    async def make() -> None:
        database = Database.open(settings.database)
        await bootstrap_admin(database, lambda: datetime.now(UTC), SecretStr(PASSWORD))
        await database.close()

    asyncio.run(make())
    if organization != "default":
        engine = write_engine(settings.database)
        with engine.begin() as connection:
            here, default = find(connection, organization), find(connection, "default")
            assert here is not None
            assert default is not None
            connection.exec_driver_sql(
                "UPDATE users SET organization_id = ? WHERE organization_id = ?", (here.id, default.id)
            )
            give_admin_role(connection, here, a_user(ADMINISTRATOR))
        engine.dispose()
    word = base64.b64encode(f"{ADMINISTRATOR}:{PASSWORD}".encode()).decode()
    return {"Authorization": f"Basic {word}"}
