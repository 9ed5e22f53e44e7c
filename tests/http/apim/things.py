"""What tests of API management do again and again."""

import json
from dataclasses import dataclass
from typing import Any

import httpx2
from sqlalchemy import select
from starlette.testclient import TestClient

from ostiary.foundation.database import write_engine
from ostiary.foundation.events import outbox


@dataclass
class Management:
    """One organization's internal REST API."""

    client: TestClient
    base: str
    database_url: str

    def call(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        """One call."""
        content = None if body is None else json.dumps(body)  # half characters are written as escapes
        headers = {"Content-Type": "application/json"}
        return self.client.request(method, self.base + path, content=content, headers=headers)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """One call that must succeed; its JSON, None for an empty answer."""
        answer = self.call(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def refusal(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """One call that must be refused: its status and description, in the form of every refusal."""
        answer = self.call(method, path, body)
        assert not answer.is_success, answer.text
        problem = answer.json()
        assert set(problem) == {"code", "message", "description", "traceId"}
        assert problem["traceId"] == answer.headers["x-request-id"]
        return answer.status_code, problem["description"]

    def published(self, orders: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """A published API."""
        api = self.ok("POST", "/apis", orders | changes)
        return dict(self.ok("PUT", f"/apis/{api['id']}/state", {"state": "PUBLISHED"}))

    def an_application(self, name: str = "Mobile", owner: str = "bob") -> dict[str, Any]:
        """An application of bob's."""
        return dict(self.ok("POST", "/applications", {"name": name, "owner": owner}))

    def a_subscription(self, orders: dict[str, Any], plan: str = "Gold") -> dict[str, Any]:
        """A new application's subscription to a newly published API."""
        api, application = self.published(orders), self.an_application()
        body = {"application_id": application["id"], "api_id": api["id"], "plan": plan}
        return dict(self.ok("POST", "/subscriptions", body))

    def news(self) -> list[tuple[str, str]]:
        """Topic and key of every event so far."""
        engine = write_engine(self.database_url)
        with engine.connect() as connection:
            rows = connection.execute(select(outbox.c.topic, outbox.c.key).order_by(outbox.c.id)).all()
        engine.dispose()
        return [(topic, key) for topic, key in rows]
