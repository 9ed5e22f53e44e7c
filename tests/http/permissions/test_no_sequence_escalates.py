"""No sequence of allowed operations ends with more than the actor had (hypothesis, real routes, real SQL).

The actor holds a few permissions, and does whatever it likes through every route that changes who has what.
After each step neither the actor, nor anybody whose password or secret the actor has set, nor anybody for
whom a store that the actor has described could answer, holds a permission the actor lacked at the start.
"""

import base64
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.testclient import TestClient
from tests.http.apim.conftest import Local
from tests.http.permissions.test_escalation import ARGON2, HELPDESK, organization_file

from ostiary.app import Settings, build_app, framework_of, load_settings
from ostiary.foundation.database import write_engine
from ostiary.identity import find_user
from ostiary.organizations import Organization, find
from ostiary.permissions import (
    NODES,
    PROTECTED,
    Guard,
    Member,
    MemberName,
    Permissions,
    Principal,
    PrincipalKind,
    a_client,
    find_role,
    holdings_of,
    not_held,
    permissions_of_name,
    permissions_through_store,
    read_holdings,
)

ACTOR = "hugo"
USERS = ("boss", "later", "bob", "hugo", "fresh", "LATER")
CLIENTS = ("job", "to-come", "console", "plain", "new-client")
STORES = ("CORP", "SHOP", "NEW")
ROLES = ("admin", "helpdesk", "shop", "publisher", "everyone", "fresh-role-1", "fresh-role-2")
GIVEN = sorted(node for node in NODES if not node.startswith(PROTECTED))
PASSWORD = "another horse battery staple"
MEANS = [f"/permission/admin/manage/identity/{node}" for node in HELPDESK]
A_NODE, A_USER, A_CLIENT, A_STORE, A_ROLE = map(st.sampled_from, (GIVEN, USERS, CLIENTS, STORES, ROLES))
Holder = Callable[[Connection], Permissions]


class Sequences(RuleBasedStateMachine):
    """One organization, one actor, and everything the actor may try."""

    made: Settings

    def __init__(self) -> None:
        super().__init__()
        directory = self.made.data_dir / "run"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        shutil.copy(self.made.data_dir / "ostiary.db", directory / "ostiary.db")
        shutil.copy(self.made.data_dir / "secret.key", directory / "secret.key")
        here = self.made.model_copy(update={"data_dir": directory})
        self.engine = write_engine(here.database)
        with self.engine.connect() as connection:
            organization = find(connection, "acme")
            assert organization is not None
            self.here = organization.id
            user = find_user(connection, self.here, ACTOR)
            assert user is not None
            self.member = Member(user.subject_id, "PRIMARY", ACTOR)
        app = build_app(here)
        framework_of(app).state.guard = Guard(self._identify, self._organization)
        self.http = TestClient(app, raise_server_exceptions=True).__enter__()
        self.owned: dict[str, Holder] = {}
        self.answered: list[int] = []

    def teardown(self) -> None:
        self.http.__exit__(None, None, None)
        self.engine.dispose()

    async def _identify(self, _request: Request, organization: Organization) -> Principal:
        held = self._holds(self.member)
        return Principal(PrincipalKind.USER, ACTOR, organization.id, self.member.subject_id, None, held)

    async def _organization(self, name: str) -> Organization | None:
        with self.engine.connect() as connection:
            return find(connection, name)

    def _holds(self, member: Member) -> Permissions:
        with self.engine.connect() as connection:
            return read_holdings(connection, self.here, member).permissions

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"/t/acme{path}", json=body)
        assert answer.status_code < 500, answer.text
        self.answered.append(answer.status_code)
        return answer if answer.is_success else None

    @initialize(
        nodes=st.frozensets(A_NODE, max_size=3), missing=st.frozensets(st.sampled_from(MEANS), max_size=2)
    )
    def begin(self, nodes: frozenset[str], missing: frozenset[str]) -> None:
        """The role `helpdesk` of the actor is what it has: most means to try, and something more."""
        means = set(MEANS) - missing
        with self.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE roles SET permissions = ? WHERE name = 'helpdesk' AND organization_id = ?",
                (str(sorted(nodes | means)).replace("'", '"'), self.here),
            )
            holdings_of(connection, self.here, self.member)  # as the actor's login does
        self.initial = self._holds(self.member)

    @rule(name=A_USER, password=st.booleans())
    def put_user(self, name: str, password: bool) -> None:
        body = {"password": PASSWORD} if password else {"disabled": True}
        if self._ask("PUT", f"/api/identity/v1/users/{name}", body) and password:
            self._owns_user(name)

    @rule(name=A_USER)
    def delete_user(self, name: str) -> None:
        self._ask("DELETE", f"/api/identity/v1/users/{name}")

    @rule(name=A_USER)
    def create_user(self, name: str) -> None:
        if self._ask("POST", "/api/identity/v1/users", {"username": name, "password": PASSWORD}):
            self._owns_user(name)

    @rule(name=A_USER)
    def provision_user(self, name: str) -> None:
        said = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": name,
            "password": PASSWORD,
        }
        if self._ask("POST", "/scim2/Users", said):
            self._owns_user(name)

    @rule(name=A_USER)
    def import_user(self, name: str) -> None:
        answer = self._ask(
            "POST", "/api/identity/v1/users/import", {"users": [{"username": name, "hash": ARGON2}]}
        )
        if answer and answer.json()["users"][0]["outcome"] == "created":
            self._owns_user(name)

    @rule(name=A_USER)
    def patch_password(self, name: str) -> None:
        change = {"op": "replace", "path": "password", "value": PASSWORD}
        subject = self._subject(name)
        if subject and self._ask("PATCH", f"/scim2/Users/{subject}", _patch(change)):
            self._owns_user(name)

    @rule(nodes=st.lists(A_NODE, max_size=3), user=A_USER, number=st.integers(1, 9))
    def create_role(self, nodes: list[str], user: str, number: int) -> None:
        subject = self._subject(user)
        members = [{"value": subject}] if subject else []
        self._ask("POST", "/scim2/Roles", {**_role(f"fresh-role-{number}", nodes), "users": members})

    @rule(name=A_ROLE, nodes=st.lists(A_NODE, max_size=3), user=A_USER)
    def put_role(self, name: str, nodes: list[str], user: str) -> None:
        subject = self._subject(user)
        members = [{"value": subject}] if subject else []
        self._ask("PUT", f"/scim2/Roles/{self._role_id(name)}", {**_role(name, nodes), "users": members})

    @rule(name=A_ROLE, user=A_USER)
    def join_group(self, name: str, user: str) -> None:
        change = {"op": "add", "path": "members", "value": [{"value": self._subject(user) or "nobody"}]}
        self._ask("PATCH", f"/scim2/Groups/{self._role_id(name)}", _patch(change))

    @rule(name=A_ROLE)
    def delete_role(self, name: str) -> None:
        self._ask("DELETE", f"/scim2/Roles/{self._role_id(name)}")

    @rule(name=A_ROLE, user=A_USER)
    def unpin(self, name: str, user: str) -> None:
        self._ask("DELETE", f"/api/identity/v1/roles/{name}/pins/{self._subject(user) or 'nobody'}")

    @rule(name=A_CLIENT, internal=st.booleans(), create=st.booleans())
    def put_client(self, name: str, internal: bool, create: bool) -> None:
        body = {
            "grant_types": ["client_credentials"],
            "client_secret": "its-secret",
            "internal_scopes": internal,
        }
        call = ("POST", "/api/oauth/v1/clients") if create else ("PUT", f"/api/oauth/v1/clients/{name}")
        if self._ask(*call, {**body, "client_id": name}):
            self.owned[f"client {name}"] = lambda c: permissions_of_name(c, self.here, a_client(name))

    @rule(name=A_CLIENT)
    def delete_client(self, name: str) -> None:
        self._ask("DELETE", f"/api/oauth/v1/clients/{name}")

    @rule(name=A_STORE, create=st.booleans())
    def put_store(self, name: str, create: bool) -> None:
        body = {"type": "rest", "url": "https://evil.example/authenticate"}
        path = "/api/identity/v1/user-stores"
        answer = (
            self._ask("POST", path, {**body, "name": name})
            if create
            else self._ask("PUT", f"{path}/{name}", body)
        )
        if answer:
            self.owned[f"store {name}"] = lambda c: permissions_through_store(c, self.here, name)

    @rule(name=A_STORE)
    def describe_store(self, name: str) -> None:
        said = {
            "typeId": base64.urlsafe_b64encode(b"rest").decode().rstrip("="),
            "name": name,
            "properties": [{"name": "url", "value": "https://evil.example/authenticate"}],
        }
        domain = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
        if self._ask("PUT", f"/api/server/v1/userstores/{domain}", said):
            self.owned[f"store {name}"] = lambda c: permissions_through_store(c, self.here, name)

    @rule(name=A_STORE)
    def delete_store(self, name: str) -> None:
        self._ask("DELETE", f"/api/identity/v1/user-stores/{name}")

    @rule()
    def apply_a_file(self) -> None:
        self._ask("POST", "/api/declarative/v1/apply", {"documents": [organization_file()]})

    @invariant()
    def nobody_reached_holds_more_than_the_actor_had(self) -> None:
        if not hasattr(self, "initial"):
            return
        assert not_held(self.initial, self._holds(self.member)) == [], "the actor itself"
        with self.engine.connect() as connection:
            for who, holder in self.owned.items():
                assert not_held(self.initial, holder(connection)) == [], who

    def _owns_user(self, name: str) -> None:
        subject = self._subject(name)
        if subject is None:
            return

        def held(connection: Connection) -> Permissions:
            user = find_user(connection, self.here, name)
            if user is None or user.subject_id != subject:
                return frozenset()  # somebody else by now, whose password the actor may not know
            listed = MemberName("user", "PRIMARY", user.username)
            member = Member(subject, "PRIMARY", user.username)
            free = permissions_of_name(connection, self.here, listed)
            return read_holdings(connection, self.here, member).permissions | free

        self.owned[f"user {name}"] = held

    def _subject(self, name: str) -> str | None:
        with self.engine.connect() as connection:
            user = find_user(connection, self.here, name)
            return None if user is None else user.subject_id

    def _role_id(self, name: str) -> str:
        with self.engine.connect() as connection:
            found = find_role(connection, self.here, name)
        return "none" if found is None else found.id


def _role(name: str, nodes: list[str]) -> dict[str, Any]:
    schema = "urn:ietf:params:scim:schemas:extension:2.0:Role"
    return {"schemas": [schema], "displayName": name, "permissions": nodes}


def _patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": list(operations)}


@pytest.fixture
def made(tmp_path: Path, migrated: Path) -> Settings:
    """An installation with one organization, to be copied for each sequence."""
    shutil.copy(migrated, tmp_path / "ostiary.db")
    made = load_settings(None, {"data_dir": tmp_path})
    with TestClient(Local(build_app(made)), raise_server_exceptions=False) as local:
        answer = local.post("/api/declarative/v1/apply", json={"documents": [organization_file()]})
        assert answer.status_code == 200, answer.text
    return made


def test_no_sequence_of_allowed_operations_escalates(made: Settings):
    machine = type("Sequences", (Sequences,), {"made": made})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
