"""Whoever administers an organization over REST, as the machine's own user; what HAProxy has stored."""

import base64
import hashlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from ostiary.gateway.haproxy import decision_key, shard

EVERY_GRANT = ("client_credentials", "password", "refresh_token")
Resources = Sequence[tuple[str, str, Sequence[str]]]
"""(method, path, scopes) of each resource of an API."""
ANY_PATH: Resources = (("GET", "/*", ()), ("POST", "/", ("write",)))


@dataclass(frozen=True, slots=True)
class Keys:
    """A client of an application, and its secret."""

    client_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Application:
    """An application with the keys it was given."""

    id: str
    name: str
    keys: Mapping[str, Keys]


class Administrator:
    """The internal REST APIs of one organization, over the local administration socket."""

    def __init__(self, directory: Path, organization: str) -> None:
        transport = httpx2.HTTPTransport(uds=str(directory / "run" / "admin-0.sock"))
        self._http = httpx2.Client(transport=transport, base_url="http://local", timeout=10)
        self.organization = organization

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Make a request under `/t/ORGANIZATION/api` that must succeed; its JSON."""
        response = self._http.request(method, f"/t/{self.organization}/api{path}", json=body)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def of_the_installation(self, method: str, path: str) -> httpx2.Response:
        """Make a request below no organization, such as about one; whatever is answered."""
        return self._http.request(method, path)

    def apply(self, **parts: Any) -> None:
        """Apply a file of this organization that says nothing but these parts."""
        document = {"apiVersion": "ostiary/v1", "organization": {"name": self.organization}, **parts}
        response = self._http.post("/api/declarative/v1/apply", json={"documents": [document]})
        assert response.is_success, response.text

    def an_api(self, name: str, resources: Resources = ANY_PATH, publish: bool = True, **backend: str) -> str:
        """Make an API version `/NAME` 1.0.0 with every plan there is; its identifier."""
        made = self.ask("POST", "/apim/v1/apis", self.api_body(name, resources, **backend))
        if publish:
            self.move(made["id"], "PUBLISHED")
        return str(made["id"])

    def api_body(self, name: str, resources: Resources = ANY_PATH, **backend: str) -> dict[str, Any]:
        """Describe an API version as the REST API takes it."""
        return {
            "name": name,
            "context": f"/{name}",
            "version": "1.0.0",
            "backend": {kind: [url] for kind, url in backend.items()},
            "plans": [plan["name"] for plan in self.ask("GET", "/apim/v1/plans")["items"]],
            "resources": [{"method": m, "path": p, "scopes": list(s)} for m, p, s in resources],
        }

    def move(self, api: str, state: str) -> None:
        """Take an API version one step of its life cycle on."""
        self.ask("PUT", f"/apim/v1/apis/{api}/state", {"state": state})

    def an_application(self, name: str, *key_types: str, token_format: str = "jwt") -> Application:
        """Register an application of the user `owner`, with keys."""
        made = self.ask("POST", "/apim/v1/applications", {"name": name, "owner": "owner"})
        keys = {}
        for key_type in key_types or ("PRODUCTION",):
            body = {"key_type": key_type, "grant_types": EVERY_GRANT, "token_format": token_format}
            given = self.ask("POST", f"/apim/v1/applications/{made['id']}/keys", body)
            keys[key_type] = Keys(given["client_id"], given["client_secret"])
        return Application(made["id"], name, keys)

    def a_subscription(self, application: Application, api: str, plan: str = "Unlimited") -> str:
        """Subscribe; the subscription's identifier."""
        body = {"application_id": application.id, "api_id": api, "plan": plan}
        return str(self.ask("POST", "/apim/v1/subscriptions", body)["id"])

    def a_user(self, name: str, password: str) -> None:
        """Make a PRIMARY user."""
        self.ask("POST", "/identity/v1/users", {"username": name, "password": password})

    def a_plan(self, name: str, requests: int) -> str:
        """Make a plan of so many requests a minute; its identifier."""
        return str(self.ask("POST", "/apim/v1/plans", {"name": name, "requests": requests})["id"])

    def close(self) -> None:
        self._http.close()


def stored_decision(directory: Path, api: str, token: str) -> str | None:
    """What the serving HAProxy worker has stored about this token at this API.

    Two decisions are never the same text: each has an assertion signed for it.
    """
    digest = hashlib.sha256(token.encode()).hexdigest()
    text = _told(directory, f"show map maps/{shard(digest)}")
    key = decision_key(api, digest)
    found = [line.split(" ", 2)[2] for line in text.splitlines() if f" {key} " in line]
    return found[0] if found else None


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def _told(directory: Path, command: str) -> str:
    """What the newest worker of the gateway's HAProxy answers on its command line."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(directory / "run" / "gateway.master.sock"))
        connection.sendall(f"@1 {command}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
