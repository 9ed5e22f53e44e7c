"""SCIM on the real app: the organization `acme`, called by the machine's own administrator."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.support.conformance import conforming

from ostiary.app import Settings, build_app

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ROLE = "urn:ietf:params:scim:schemas:extension:2.0:Role"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@dataclass
class SCIM:
    """Calls below `/t/ORGANIZATION/scim2`."""

    client: TestClient
    organization: str = "acme"
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The answer to a request."""
        url = f"/t/{self.organization}/scim2{path}"
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.request(method, url, json=body, headers=headers, **options)

    def user(self, user_name: str, **said: Any) -> dict[str, Any]:
        """A new user."""
        made = self.ask("POST", "/Users", {"schemas": [USER], "userName": user_name, **said})
        assert made.status_code == 201, made.text
        return dict(made.json())

    def group(self, display_name: str, *members: str, **said: Any) -> dict[str, Any]:
        """A new role."""
        listed = [{"value": member} for member in members]
        made = self.ask(
            "POST", "/Groups", {"schemas": [GROUP], "displayName": display_name, "members": listed, **said}
        )
        assert made.status_code == 201, made.text
        return dict(made.json())

    def patch(self, path: str, *operations: dict[str, Any], **options: Any) -> Any:
        """A PATCH of these operations."""
        return self.ask("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **options)


@pytest.fixture
def scim(settings: Settings) -> Iterator[SCIM]:
    with conforming(Local(build_app(settings))) as client:
        yield SCIM(client)


@pytest.fixture
def elsewhere(scim: SCIM) -> Callable[[str], SCIM]:
    """The same calls in another organization."""
    return lambda organization: SCIM(scim.client, organization)
