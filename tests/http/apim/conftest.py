"""The real app, called by the local administrator; and what a test starts from."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.http.apim.things import Management
from tests.support.conformance import conforming

from ostiary.app import Settings, build_app
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import write_engine
from ostiary.identity import UserSpec, put_user
from ostiary.oauth import ScopeSpec, put_scope
from ostiary.organizations import all_organizations


class Local:
    """Marks every request as one that came in on the administration socket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["local_administrator"] = True
        await self._app(scope, receive, send)


def _people_and_scopes(connection: Connection) -> None:
    for organization in all_organizations(connection):
        put_user(connection, UserSpec(organization.id, "bob", "$not-a-hash$"), utc_now)
        put_scope(connection, organization.id, ScopeSpec("orders:write", roles=frozenset({"clerk"})))


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """An HTTP client that is the local administrator."""
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        _people_and_scopes(connection)
    engine.dispose()
    with conforming(Local(build_app(settings))) as client:
        yield client


@pytest.fixture
def acme(client: TestClient, settings: Settings) -> Management:
    """The internal REST API of the organization `acme`, which has the user bob and a scope."""
    return Management(client, "/t/acme/api/apim/v1", settings.database)


@pytest.fixture
def default(client: TestClient, settings: Settings) -> Management:
    """The same of the default organization, at unprefixed URLs."""
    return Management(client, "/api/apim/v1", settings.database)


@pytest.fixture
def orders() -> dict[str, Any]:
    """A body that publishes nothing yet."""
    return {
        "name": "Orders",
        "context": "/orders",
        "version": "1.0.0",
        "backend": {"production": ["http://127.0.0.1:9701"], "sandbox": []},
        "plans": ["Gold", "Bronze"],
        "resources": [
            {"method": "GET", "path": "/{id}", "scopes": [], "limit": None, "auth": "any"},
            {"method": "POST", "path": "/", "scopes": ["orders:write"], "limit": None, "auth": "any"},
        ],
        "limit": None,
        "security": ["oauth2"],
        "cors": {
            "enabled": True,
            "origins": ["*"],
            "methods": ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"],
            "headers": [
                "authorization",
                "Access-Control-Allow-Origin",
                "Content-Type",
                "SOAPAction",
                "apikey",
                "Internal-Key",
            ],
            "credentials": False,
        },
        "default_version": False,
        "assertion": {"claims": []},
    }
