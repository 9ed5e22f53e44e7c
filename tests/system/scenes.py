"""Scenes in which one change happens: an API, an application, a user; and bystanders."""

from collections.abc import Callable
from itertools import count
from typing import Any

import httpx2
from tests.support.login_service import SERVICE_PASSWORD, SERVICE_USER
from tests.system.administrator import ANY_PATH, Administrator, claims_of, stored_decision
from tests.system.server import Server
from tests.system.stand_ins import Backend
from tests.system.waiting import until
from tests.system.world import PASSWORD, USER

WITHIN = 1.0
USER_PASSWORD, NEW_PASSWORD = "a-users-password-1", "another-password-2"
NUMBER = count(1)
Answer = tuple[int, str]
Limit = dict[str, object]
ONE: Limit = {"requests": 1, "per": "minute"}
OK: Answer = (200, "")
INVALID: Answer = (401, "900901")
ALL = ("neighbour", "stranger")


class Organization:
    """One organization of the server, and its applications that no change is about."""

    def __init__(self, world: "World", name: str) -> None:
        self.administrator = Administrator(world.server.directory, name)
        owner = {"username": "owner", "password": USER_PASSWORD}
        self.administrator.apply(users=[owner], scopes=[{"name": "write", "everyone": True}])
        self.neighbour = self.administrator.an_application("neighbour")
        self.elsewhere = self.administrator.an_api("elsewhere", production=world.backend_url)
        self.stranger = self.administrator.an_application("stranger")
        self.administrator.a_subscription(self.stranger, self.elsewhere)


class World:
    """A server, a backend that echoes, a login service; organizations are made when they are needed."""

    def __init__(self, server: Server, login_url: str) -> None:
        self.server = server
        self.login_url = login_url
        self.backend, self.other_backend = Backend(), Backend()
        self.backend_url = f"http://127.0.0.1:{self.backend.port}"
        self.other_url = f"http://127.0.0.1:{self.other_backend.port}"
        self.http = server.gateway()
        self._organizations: dict[str, Organization] = {}
        self.first = Scene(self, self.organization("acme"))
        """Its token was issued before a rotation that goes on while everything else happens."""
        become(self.first, application, OK)
        self.first.ask("POST", "/oauth/v1/keys/rotate", {})

    def organization(self, name: str) -> Organization:
        if name not in self._organizations:
            self._organizations[name] = Organization(self, name)
        return self._organizations[name]

    def forget(self, name: str) -> None:
        """The organization is gone: it is made anew when it is needed again."""
        del self._organizations[name]

    def close(self) -> None:
        self.backend.stop()
        self.other_backend.stop()


class Scene:
    """What one change is about: an API, an application with both kinds of keys, and a user of its own."""

    def __init__(self, world: World, organization: Organization, token_format: str = "jwt") -> None:
        self.world, self.organization = world, organization
        self.admin = organization.administrator
        self.name = f"scene{next(NUMBER)}"
        self.user = self.name
        self.api = self.admin.an_api(self.name, production=world.backend_url, sandbox=world.backend_url)
        self.mine = self.admin.an_application(self.name, "PRODUCTION", "SANDBOX", token_format=token_format)
        self.subscription = self.admin.a_subscription(self.mine, self.api)
        self.neighbours_subscription = self.admin.a_subscription(organization.neighbour, self.api)
        self.notes: dict[str, Any] = {}

    def ask(self, method: str, path: str, body: object = None) -> Any:
        return self.admin.ask(method, path, body)

    def token(self, **how: str) -> httpx2.Response:
        """A token for the application itself, or of the user with `password=`."""
        keys = self.mine.keys[how.pop("keys", "PRODUCTION")]
        form = {"grant_type": "client_credentials"}
        if "password" in how:
            form = {"grant_type": "password", "username": how.pop("username", self.user)}
        if "refresh_token" in how:
            form = {"grant_type": "refresh_token"}
        return self.world.http.post("/token", data={**form, **how}, auth=(keys.client_id, keys.secret))

    def kept(self, name: str = "token", **how: str) -> str:
        """The access token of that name, got once."""
        if name not in self.notes:
            self.notes[name] = self.got(**how)
        return str(self.notes[name]["access_token"])

    def got(self, **how: str) -> dict[str, Any]:
        response = self.token(**how)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def users(self, **how: str) -> str:
        """A token of the user, who is made at first sight."""
        if "user" not in self.notes:
            self.notes["user"] = True
            self.admin.a_user(self.user, USER_PASSWORD)
        return self.kept("users", password=USER_PASSWORD, **how)

    def call(self, token: str, path: str = "1", method: str = "GET") -> Answer:
        return answer_of(self.send(token, path, method))

    def send(self, token: str, path: str = "1", method: str = "GET") -> httpx2.Response:
        url = f"/t/{self.admin.organization}/{self.name}/1.0.0/{path}"
        return self.world.http.request(method, url, headers={"Authorization": f"Bearer {token}"})

    def revoke(self, token: str) -> None:
        keys = self.mine.keys["PRODUCTION"]
        answer = self.world.http.post("/revoke", data={"token": token}, auth=(keys.client_id, keys.secret))
        assert answer.status_code == 200

    def change_client(self, **change: Any) -> None:
        path = f"/oauth/v1/clients/{self.mine.keys['PRODUCTION'].client_id}"
        present = {k: v for k, v in self.ask("GET", path).items() if v is not None}
        self.ask("PUT", path, {**present, **change})

    def change_api(self, *resources: Any, **backend: str) -> None:
        urls = backend or {"production": self.world.backend_url, "sandbox": self.world.backend_url}
        body = self.admin.api_body(self.name, resources or ANY_PATH, **urls)
        self.ask("PUT", f"/apim/v1/apis/{self.api}", body)

    def expose(self, **how: Any) -> None:
        """Say of the API which credentials it takes, or that it is the default version."""
        urls = {"production": self.world.backend_url, "sandbox": self.world.backend_url}
        body = self.admin.api_body(self.name, ANY_PATH, **urls)
        self.ask("PUT", f"/apim/v1/apis/{self.api}", {**body, **how})

    def next_version(self) -> None:
        """The API's version 2.0.0, not published yet."""
        body = self.admin.api_body(self.name, ANY_PATH, production=self.world.backend_url)
        self.notes["next"] = self.ask("POST", "/apim/v1/apis", {**body, "version": "2.0.0"})["id"]

    def publish_next(self, **how: bool) -> None:
        body = {"state": "PUBLISHED", "deprecate_older": True, **how}
        self.ask("PUT", f"/apim/v1/apis/{self.notes['next']}/state", body)

    def an_api_key(self) -> None:
        """An API key of the application, which the API takes."""
        self.expose(security=["oauth2", "api_key"])
        path = f"/apim/v1/applications/{self.mine.id}/api-keys"
        self.notes["api key"] = self.ask("POST", path, {"name": self.name})

    def deny(self, condition: str, value: str) -> None:
        body = {"condition": condition, "value": value.format(s=self)}
        self.notes["denial"] = self.ask("POST", "/apim/v1/deny-policies", body)

    def deny_no_more(self) -> None:
        self.ask("PATCH", f"/apim/v1/deny-policies/{self.notes['denial']['id']}", {"enabled": False})

    def state(self, state: str) -> None:
        self.ask("PATCH", f"/apim/v1/subscriptions/{self.subscription}", {"state": state})

    def unsubscribe(self) -> None:
        self.ask("DELETE", f"/apim/v1/subscriptions/{self.subscription}")

    def nobody_subscribes(self) -> None:
        self.unsubscribe()
        self.ask("DELETE", f"/apim/v1/subscriptions/{self.neighbours_subscription}")

    def subscribe(self) -> None:
        self.subscription = self.admin.a_subscription(self.mine, self.api)

    def plan(self, requests: int) -> None:
        """Give the subscription a plan of its own, or that plan another limit."""
        if "plan" in self.notes:
            self.ask("PUT", f"/apim/v1/plans/{self.notes['plan']}", {"requests": requests})
            return
        self.notes["plan"] = self.admin.a_plan(self.name, requests)
        self.change_api()
        self.ask("PATCH", f"/apim/v1/subscriptions/{self.subscription}", {"plan": self.name})

    def limit(self, api: Limit | None = None, resource: Limit | None = None) -> None:
        body = self.admin.api_body(
            self.name, production=self.world.backend_url, sandbox=self.world.backend_url
        )
        resources = [{**body["resources"][0], "limit": resource}, *body["resources"][1:]]
        self.ask("PUT", f"/apim/v1/apis/{self.api}", {**body, "limit": api, "resources": resources})

    def tier(self, name: str) -> None:
        body = {"name": self.name, "owner": "owner", "tier": name}
        self.ask("PUT", f"/apim/v1/applications/{self.mine.id}", body)

    def role(self, **members: list[str]) -> None:
        self.admin.apply(roles=[{"name": self.name, **members}])

    def scope(self, **who: Any) -> None:
        self.ask("PUT", f"/oauth/v1/scopes/{self.name}", who)

    def needs_scope(self, **members: list[str]) -> None:
        """A scope and a role of the scene, which `guarded` takes."""
        self.role(**members)
        self.scope(roles=[self.name])
        self.change_api(("GET", "/*", []), ("GET", "/guarded", [self.name]))


Make = Callable[[Scene], object]
Ask = Callable[[Scene], object]


def answer_of(response: httpx2.Response) -> Answer:
    return response.status_code, "" if response.is_success else str(response.json()["code"])


def application(s: Scene) -> Answer:
    return s.call(s.kept())


def both_keys(s: Scene) -> tuple[Answer, Answer]:
    return s.call(s.kept()), s.call(s.kept("sandbox", keys="SANDBOX"))


def user(s: Scene) -> Answer:
    return s.call(s.users())


def anew(s: Scene) -> Answer:
    """Authenticate and call, as somebody who comes now."""
    response = s.token()
    if response.status_code != 200:
        return response.status_code, str(response.json()["error"])
    return s.call(response.json()["access_token"])


def scoped(s: Scene) -> Answer:
    return s.call(s.users(scope=s.name), "guarded")


def scoped_anew(s: Scene) -> Answer:
    s.users()
    return s.call(s.got(password=USER_PASSWORD, scope=s.name)["access_token"], "guarded")


def scoped_client(s: Scene) -> Answer:
    return s.call(s.kept(scope=s.name), "guarded")


def thrice(s: Scene) -> Answer:
    """The worst of three calls, for limits."""
    return max(application(s) for _ in range(3))


def often(s: Scene) -> Answer:
    """The worst of more calls than the smallest tier of an application takes, also where a window ends."""
    return max(application(s) for _ in range(22))


def with_api_key(s: Scene) -> Answer:
    url = f"/t/{s.admin.organization}/{s.name}/1.0.0/1"
    return answer_of(s.world.http.get(url, headers={"apikey": s.notes["api key"]["api_key"]}))


def without_version(s: Scene) -> Answer:
    headers = {"Authorization": f"Bearer {s.kept()}"}
    return answer_of(s.world.http.get(f"/t/{s.admin.organization}/{s.name}/1", headers=headers))


def next_version(s: Scene) -> Answer:
    url = f"/t/{s.admin.organization}/{s.name}/2.0.0/1"
    return answer_of(s.world.http.get(url, headers={"Authorization": f"Bearer {s.kept()}"}))


def which_backend(s: Scene) -> str:
    before = len(s.world.other_backend.calls)
    assert application(s) == OK
    return "the other" if len(s.world.other_backend.calls) > before else "the first"


def assertion(s: Scene) -> str:
    headers = dict(s.send(s.kept()).json()["headers"])
    name = claims_of(headers["x-jwt-assertion"])["http://wso2.org/claims/applicationname"]
    return "its first name" if name == s.name else "another name"


def email(s: Scene) -> object:
    """What the backend is told of the user's address."""
    headers = dict(s.send(s.users()).json()["headers"])
    return claims_of(headers["x-jwt-assertion"]).get("http://wso2.org/claims/emailaddress")


def has_email(address: str) -> Make:
    """Give the user an address, and have the API ask for it."""

    def make(s: Scene) -> None:
        s.users()
        put_user(claims={"email": address})(s)
        s.expose(assertion={"claims": ["email"]})

    return make


def replay(s: Scene) -> None:
    first = s.notes["users"]["refresh_token"]
    second = s.got(refresh_token=first)["refresh_token"]
    s.got(refresh_token=second)
    assert s.token(refresh_token=first).status_code == 400


def revoke_refresh_token(s: Scene) -> None:
    s.revoke(s.notes["users"]["refresh_token"])


def put_user(**body: Any) -> Make:
    return lambda s: s.ask("PUT", f"/identity/v1/users/{s.user}", body)


def a_store(s: Scene) -> None:
    s.notes["store"] = s.name.upper()
    auth = {"basic": {"username": SERVICE_USER, "password": SERVICE_PASSWORD}}
    body = {"name": s.notes["store"], "type": "rest", "url": s.world.login_url, "auth": auth}
    s.ask("POST", "/identity/v1/user-stores", body)


def outside_user(s: Scene) -> Answer:
    return s.call(s.kept("outside", password=PASSWORD, username=f"{s.notes['store']}/{USER}"))


def delete(path: str) -> Make:
    return lambda s: s.ask("DELETE", path.format(s=s, client=s.mine.keys["PRODUCTION"].client_id))


def deny(condition: str, value: str) -> Make:
    return lambda s: s.deny(condition, value)


def move(*states: str) -> Make:
    return lambda s: [s.admin.move(s.api, state) for state in states]


def rotate_now(s: Scene) -> None:
    s.ask("POST", "/oauth/v1/keys/rotate", {"now": True})


def become(scene: Scene, ask: Ask, wanted: object) -> None:
    """Wait for an answer; a second after a commit it must be there."""
    answers: list[object] = []

    def there() -> bool:
        answers.append(ask(scene))
        return answers[-1] == wanted

    try:
        until(there, WITHIN)
    except AssertionError:
        raise AssertionError(f"not {wanted} within {WITHIN} s: {dict.fromkeys(answers)}") from None


def bystander(scene: Scene, name: str) -> tuple[str, str]:
    """The API and token of somebody who must notice nothing, once it has called."""
    organization, http = scene.organization, scene.world.http
    who, api, path = {
        "neighbour": (organization.neighbour, scene.api, scene.name),
        "colleague": (scene.mine, scene.api, scene.name),
        "stranger": (organization.stranger, organization.elsewhere, "elsewhere"),
    }[name]
    keys = who.keys["PRODUCTION"]
    form = {"grant_type": "client_credentials"}
    token = http.post("/token", data=form, auth=(keys.client_id, keys.secret)).json()["access_token"]
    url = f"/t/{scene.admin.organization}/{path}/1.0.0/1"
    http.get(url, headers={"Authorization": f"Bearer {token}"})
    return api, token


def stored_at(scene: Scene, one: tuple[str, str]) -> str | None:
    return stored_decision(scene.world.server.directory, *one)
