"""What one organization has, another one's administrator neither sees nor touches, by any identifier."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.permissions.callers import ADMINISTRATOR, NOBODY, Callers
from tests.http.permissions.matrix import BELOW, SCOPES, Row, rows

from ostiary.app import build_app, load_settings
from ostiary.foundation.clock import utc_now
from ostiary.gateway import note_explanations

WITH_NAMES = [row for row in rows() if row.permissions | row.scopes and "{" in row.path.removeprefix(BELOW)]
OF_NOBODY = (
    "/api/server/v1/userstores/meta/",
    "/api/server/v1/gateway-nodes/",
    "/api/server/v1/tenants/",
)
"""Types are everybody's; gateway nodes and organizations are the installation's."""
SCIM = "urn:ietf:params:scim:schemas:core:2.0"
ROLE = "urn:ietf:params:scim:schemas:extension:2.0:Role"
QUESTION = {"questionId": "question1", "question": "Where from?", "locale": "en_US"}
ANSWER = {"challengeQuestion": QUESTION, "answer": "Rome"}
PATCH_OP = {"op": "replace", "path": "externalId", "value": "changed"}
STORE = {"type": "rest", "url": "https://login.example/authenticate"}


@dataclass
class Management:
    """One organization as its administrator reaches it, and one thing of every kind there."""

    http: TestClient
    callers: Callers
    organization: str
    things: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call; a path in the form of a route is below this organization."""
        place = "" if self.organization == "default" else f"/t/{self.organization}"
        headers = self.callers.token(self.organization, ADMINISTRATOR, SCOPES)
        return self.http.request(method, place + path, json=body, headers=headers)

    def made(self, path: str, body: Any, key: str = "id") -> str:
        """Make one thing; returns its identifier."""
        answer = self.ask("POST", path, body)
        assert answer.is_success, answer.text
        return str(answer.json()[key])

    def make(self) -> None:
        """One thing of every kind, each with a name that the other organization does not have."""
        name = f"of-{self.organization}"
        sub = self.callers.subjects[self.organization, NOBODY]
        assert self.ask("POST", "/api/identity/v1/users", {"username": name, "password": "a good password"})
        assert self.ask("PUT", f"/api/oauth/v1/scopes/{name}", {"everyone": True}).is_success
        self.made("/api/identity/v1/user-stores", {"name": name, **STORE}, "name")
        self.made("/api/oauth/v1/clients", {"client_id": name, "client_secret": "s3cret-of-it"}, "client_id")
        role = {"schemas": [f"{SCIM}:Group"], "displayName": name, "members": [{"value": sub}]}
        questions = [{"questionSetId": f"set{self.organization}", "questions": [QUESTION]}]
        assert self.ask("POST", "/api/server/v1/challenges", questions).is_success
        self.things = {
            "api_id": self.made("/api/apim/v1/apis", {"name": name, **_an_api(name)}),
            "plan_id": self.made("/api/apim/v1/plans", {"name": name, "requests": 5}),
            "application_id": self.made("/api/apim/v1/applications", {"name": name, "owner": name}),
            "policy_id": self.made("/api/apim/v1/deny-policies", {"condition": "USER", "value": name}),
            "/scim2/Groups": self.made("/scim2/Groups", role),
            "/scim2/Users": sub,
            "key_type": "PRODUCTION",
            "set_id": f"set{self.organization}",
            "question_id": "question1",
            "domain_id": base64.urlsafe_b64encode(name.upper().encode()).decode().rstrip("="),
            "request_id": f"request-{self.organization}",
            **dict.fromkeys(("name", "username", "client_id", "role"), name),
            **dict.fromkeys(("subject_id", "user_id", "sub"), sub),
        }
        self.things["/scim2/Roles"] = self.things["/scim2/Groups"]
        self._use()

    def _use(self) -> None:
        """What belongs to a thing."""
        place = f"/api/apim/v1/applications/{self.things['application_id']}"
        assert self.ask("PUT", f"/api/apim/v1/apis/{self.things['api_id']}/state", {"state": "PUBLISHED"})
        self.things["key_id"] = self.made(f"{place}/api-keys", {"name": "key"})
        assert self.ask("POST", f"{place}/keys", {"key_type": "PRODUCTION"}).is_success
        subscription = {"api_id": self.things["api_id"], "application_id": self.things["application_id"]}
        self.things["subscription_id"] = self.made(
            "/api/apim/v1/subscriptions", {**subscription, "plan": "Gold"}
        )
        answers = f"/api/users/v1/{self.things['user_id']}/challenge-answers/{self.things['set_id']}"
        assert self.ask("POST", answers, ANSWER).is_success
        self.things["session_id"] = self._session()
        told = {"request_id": self.things["request_id"], "organization": self.organization}
        with self.callers.engine.begin() as connection:
            note_explanations(connection, [told], utc_now())

    def _session(self) -> str:
        """Where the user of the other things is logged in."""
        client = {"client_id": f"door-{self.organization}", "client_secret": "s3cret-of-it"}
        grants = ["password", "refresh_token"]
        assert self.ask("POST", "/api/oauth/v1/clients", {**client, "grant_types": grants}).is_success
        assert self.ask("PUT", f"/api/identity/v1/users/{NOBODY}", {"password": "a good password"}).is_success
        form = {"grant_type": "password", "username": NOBODY, "password": "a good password"}
        place = f"/t/{self.organization}/oauth2/token"
        assert self.http.post(place, data=form, auth=tuple(client.values())).is_success
        (session,) = self.ask("GET", f"/api/users/v1/{self.things['user_id']}/sessions").json()["sessions"]
        return str(session["id"])

    def address(self, row: Row) -> str:
        """The path of an operation on the things of this organization."""
        path = row.path.removeprefix(BELOW)
        kind = next((kind for kind in self.things if kind.startswith("/") and path.startswith(kind)), "")
        known = {**self.things, "resource_id": self.things.get(kind, "")}
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: known[found[1]], path)

    def body(self, row: Row) -> Any:
        """A good body for an operation on the things of this organization."""
        text = json.dumps(BODIES.get((row.method, row.path.removeprefix(BELOW))))
        return json.loads(re.sub(r"\$(\w+)", lambda found: self.things[found[1]], text))

    def seen(self) -> dict[str, Any]:
        """What there is to be seen of the things of this organization; the audit log grows by itself."""
        paths = {self.address(row) for row in WITH_NAMES if row.method == "GET" and not _of_nobody(row)}
        answers = {path: self.ask("GET", path) for path in sorted(paths)}
        assert {path: one.status_code for path, one in answers.items() if one.status_code != 200} == {}
        found = {path: one.json() for path, one in answers.items()}
        found[f"/api/identity/v1/subjects/{self.things['sub']}"].pop("audit_log")
        return found


def _an_api(name: str) -> dict[str, Any]:
    backend = {"production": ["http://127.0.0.1:9701"]}
    resources = [{"method": "GET", "path": "/"}]
    return {
        "context": f"/{name}",
        "version": "1",
        "backend": backend,
        "plans": ["Gold"],
        "resources": resources,
    }


def _of_nobody(row: Row) -> bool:
    return row.path.removeprefix(BELOW).startswith(OF_NOBODY)


BODIES: dict[tuple[str, str], Any] = {
    ("PUT", "/api/apim/v1/apis/{api_id}"): {"name": "$name", **_an_api("$name")},
    ("PUT", "/api/apim/v1/apis/{api_id}/state"): {"state": "BLOCKED"},
    ("PUT", "/api/apim/v1/plans/{plan_id}"): {"requests": 7},
    ("PUT", "/api/apim/v1/applications/{application_id}"): {"name": "changed"},
    ("POST", "/api/apim/v1/applications/{application_id}/keys"): {"key_type": "SANDBOX"},
    ("POST", "/api/apim/v1/applications/{application_id}/api-keys"): {"name": "another"},
    ("PATCH", "/api/apim/v1/subscriptions/{subscription_id}"): {"state": "BLOCKED"},
    ("PATCH", "/api/apim/v1/deny-policies/{policy_id}"): {"enabled": False},
    ("PUT", "/api/identity/v1/users/{username}"): {"disabled": True},
    ("PUT", "/api/identity/v1/user-stores/{name}"): STORE,
    ("POST", "/api/identity/v1/user-stores/{name}/test-connection"): {},
    ("PUT", "/api/oauth/v1/clients/{client_id}"): {"client_secret": "another-s3cret"},
    ("PUT", "/api/oauth/v1/scopes/{name:path}"): {"everyone": True},
    ("PUT", "/api/identity/oauth2/v1.0/scopes/name/{name:path}"): {"displayName": "$name"},
    ("PUT", "/api/server/v1/challenges/{set_id}"): [QUESTION],
    ("PATCH", "/api/server/v1/challenges/{set_id}"): {
        "operation": "ADD",
        "challengeQuestion": {"question": "Since when?"},
    },
    ("PUT", "/api/server/v1/userstores/{domain_id}"): {
        "typeId": "cmVzdA",
        "name": "$name",
        "properties": [{"name": "url", "value": "https://other.example/"}],
    },
    ("PATCH", "/api/server/v1/userstores/{domain_id}"): [
        {"operation": "REPLACE", "path": "/description", "value": "changed"}
    ],
    **{
        (method, f"/api/users/v1/{who}/challenge-answers{of}"): body
        for method in ("POST", "PUT")
        for who in ("me", "{user_id}")
        for of, body in (("/{set_id}", ANSWER), ("", [{"questionSetId": "$set_id", **ANSWER}]))
    },
    ("PUT", "/scim2/Users/{resource_id}"): {"schemas": [f"{SCIM}:User"], "userName": NOBODY, "active": True},
    **{
        ("PUT", f"/scim2/{kind}/{{resource_id}}"): {"schemas": [schema], "displayName": "$name"}
        for kind, schema in (("Groups", f"{SCIM}:Group"), ("Roles", ROLE))
    },
    **{
        ("PATCH", f"/scim2/{kind}/{{resource_id}}"): {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [PATCH_OP],
        }
        for kind in ("Users", "Groups", "Roles")
    },
}
"""A body for each operation that needs one, `$` before what is the name of the thing meant."""
OTHERWISE = {
    ("PUT", "/api/oauth/v1/scopes/{name:path}"): 200,  # makes a scope of that name here
    ("PUT", "/api/oauth/v1/clients/{client_id}"): 409,  # client ids are unique in the installation
    ("DELETE", "/api/oauth/v1/scopes/{name:path}"): 204,  # gone is gone, whatever was there
    ("DELETE", "/api/server/v1/challenges/{set_id}"): 204,
    ("DELETE", "/api/server/v1/challenges/{set_id}/questions/{question_id}"): 204,
}
"""What is answered where it is not 404."""


@pytest.fixture
def organizations(migrated: Path, tmp_path: Path) -> Iterator[dict[str, Management]]:
    """`default` and `acme`, each with one thing of every kind."""
    shutil.copy(migrated, tmp_path / "ostiary.db")
    settings = load_settings(None, {"data_dir": tmp_path})
    callers = Callers(settings)
    callers.make([])
    with TestClient(build_app(settings), raise_server_exceptions=False) as http:
        both = {name: Management(http, callers, name) for name in ("default", "acme")}
        for management in both.values():
            management.make()
        yield both
    callers.engine.dispose()


@pytest.mark.parametrize(("here", "elsewhere"), [("acme", "default"), ("default", "acme")])
def test_identifiers_of_another_organization_lead_nowhere(
    organizations: dict[str, Management], here: str, elsewhere: str
):
    mine, theirs = organizations[here], organizations[elsewhere]
    before = theirs.seen()
    answers = {}

    for row in WITH_NAMES:
        if row.path.startswith(BELOW) is (here == "acme") and not _of_nobody(row):
            operation = (row.method, row.path.removeprefix(BELOW))
            answer = mine.ask(row.method, theirs.address(row), theirs.body(row))
            if answer.status_code != OTHERWISE.get(operation, 404):
                answers[" ".join(operation)] = f"{answer.status_code} {answer.text}"

    assert answers == {}
    assert theirs.seen() == before


def test_the_same_calls_reach_the_things_of_their_own_organization(organizations: dict[str, Management]):
    """So the refusals above are about identifiers: bodies are good, paths are of what is there."""
    acme = organizations["acme"]
    refused = {}

    for row in WITH_NAMES:
        if row.path.startswith(BELOW) and row.method in ("POST", "PUT", "PATCH") and "/me/" not in row.path:
            answer = acme.ask(row.method, acme.address(row), acme.body(row))
            if answer.status_code in (400, 401, 403, 404, 415, 422) or answer.status_code >= 500:
                refused[f"{row.method} {row.path}"] = f"{answer.status_code} {answer.text}"

    assert refused == {}


def test_identifiers_of_another_organization_in_a_body_or_a_query_lead_nowhere(
    organizations: dict[str, Management],
):
    acme, theirs = organizations["acme"], organizations["default"].things
    before, mine = organizations["default"].seen(), acme.things
    subscription = {"application_id": mine["application_id"], "api_id": mine["api_id"], "plan": "Gold"}
    group = {"schemas": [f"{SCIM}:Group"], "displayName": "mixed", "members": [{"value": theirs["sub"]}]}
    remove = {"method": "DELETE", "path": f"/Users/{theirs['sub']}"}
    bulk = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [remove]}

    made = [
        acme.ask("POST", "/api/apim/v1/subscriptions", subscription | {"api_id": theirs["api_id"]}),
        acme.ask(
            "POST", "/api/apim/v1/subscriptions", subscription | {"application_id": theirs["application_id"]}
        ),
        acme.ask("POST", "/scim2/Groups", group),
    ]
    (removed,) = acme.ask("POST", "/scim2/Bulk", bulk).json()["Operations"]
    listed = acme.ask("GET", f"/api/apim/v1/subscriptions?application_id={theirs['application_id']}")

    assert [answer.status_code for answer in made] == [404, 404, 400]
    assert removed["status"] == "404"
    assert theirs["subscription_id"] not in listed.text
    assert organizations["default"].seen() == before
