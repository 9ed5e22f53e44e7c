"""One thing about a call is another, everything else is the same: the answer is another, whatever is stored.

Through the real HAProxy, with tokens that the organization's own key has signed. CVE-2021-32701 and
CVE-2026-33496 (an introspection cache without scope and URL in its key), wso2/api-manager#3835 (one user
name in two stores).
"""

import base64
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from joserfc import jwt
from joserfc.jwk import ECKey
from tests.system.administrator import claims_of, stored_decision
from tests.system.scenes import INVALID, OK, Answer, Scene, World, answer_of, become, user
from tests.system.server import Server
from tests.system.world import LoginServices

from ostiary.foundation.secrets import SecretBox

pytestmark = pytest.mark.alone

ENDUSER = "http://wso2.org/claims/enduser"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    server = Server(directory / "data")
    try:
        world = World(server.start(), services.start().url)
        yield world
        world.close()
    finally:
        server.stop()
        services.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def scene(world: World) -> Scene:
    """A user's token with a scope is stored at an API, `/guarded` of which takes that scope."""
    scene = Scene(world, world.organization("acme"))
    world.organization("other")
    scene.users()
    scene.needs_scope(users=[scene.user])
    resources = [("GET", "/*", []), ("GET", "/guarded", [scene.name])]
    body = scene.admin.api_body(scene.name, resources, production=world.backend_url)  # type: ignore[arg-type]
    body["resources"].append({"method": "GET", "path": "/person", "scopes": [], "auth": "user"})
    scene.ask("PUT", f"/apim/v1/apis/{scene.api}", body)
    become(scene, lambda s: s.call(token_of(s), "guarded"), OK)
    return scene


def token_of(scene: Scene) -> str:
    """The token that everything else is compared with."""
    scene.users()
    if "original" not in scene.notes:
        scene.notes["original"] = scene.token(password="a-users-password-1", scope=scene.name).json()[
            "access_token"
        ]
    return str(scene.notes["original"])


def header_of(token: str) -> dict[str, Any]:
    part = token.partition(".")[0]
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return header


def signed(directory: Path, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """A token as the control plane would sign it, by the key that the header names."""
    with closing(sqlite3.connect(directory / "ostiary.db")) as connection:
        (sealed,) = connection.execute(
            "SELECT private_sealed FROM signing_keys WHERE kid = ?", (header["kid"],)
        ).fetchone()
    box = SecretBox((directory / "secret.key").read_bytes())
    der = box.open(sealed, f"signing_keys:private_sealed:{header['kid']}")
    key = ECKey.import_key(load_der_private_key(der, password=None))  # type: ignore[arg-type]
    return jwt.encode(dict(header), dict(claims), key, algorithms=["ES256"])


def another_issuer(scene: Scene, claims: Mapping[str, Any]) -> str:
    return str(claims["iss"]).replace("/t/acme", "/t/other")


def another_audience(scene: Scene, claims: Mapping[str, Any]) -> str:
    assert "/t/acme" in claims["aud"]
    return str(claims["aud"]).replace("/t/acme", "/t/other")


def another_kid(scene: Scene) -> str:
    """The key of another organization."""
    keys = scene.world.organization("other").neighbour.keys["PRODUCTION"]
    form = {"grant_type": "client_credentials"}
    answer = scene.world.http.post("/token", data=form, auth=(keys.client_id, keys.secret))
    return str(header_of(answer.json()["access_token"])["kid"])


@dataclass(frozen=True, slots=True)
class Mutation:
    """What is changed about the token, and the answer that gets."""

    then: Answer
    claims: Mapping[str, Any] = field(default_factory=dict)
    """A function is asked for the value."""
    header: Mapping[str, Any] = field(default_factory=dict)
    path: str = "guarded"


MUTATIONS = {
    "issuer": Mutation(INVALID, {"iss": another_issuer}),
    "audience": Mutation(INVALID, {"aud": another_audience}),
    "organization": Mutation(INVALID, {"org": "other"}),
    "scope": Mutation((403, "900910"), {"scope": "default"}),
    "client": Mutation(
        (403, "900908"),
        {"client_id": lambda s, _: s.organization.stranger.keys["PRODUCTION"].client_id},
    ),
    "client of nobody": Mutation((403, "900908"), {"client_id": "nobody"}),
    "client of another organization": Mutation(
        INVALID,
        {"client_id": lambda s, _: s.world.organization("other").neighbour.keys["PRODUCTION"].client_id},
    ),
    "token type": Mutation(INVALID, header={"typ": "JWT"}),
    "whose token": Mutation((401, "900905"), {"aut": "APPLICATION"}, path="person"),
    "key": Mutation(INVALID, header={"kid": another_kid}),
    "expiry": Mutation(INVALID, {"exp": 1_600_000_000}),
}


def mutated(scene: Scene, one: Mutation) -> str:
    token = token_of(scene)
    claims, header = claims_of(token), header_of(token)
    changed = {k: v(scene, claims) if callable(v) else v for k, v in one.claims.items()}
    headed = {k: v(scene) if callable(v) else v for k, v in one.header.items()}
    assert changed.items() - claims.items() or headed.items() - header.items()
    return signed(scene.world.server.directory, header | headed, claims | changed)


def test_a_token_signed_here_passes_like_the_control_planes_own(scene: Scene):
    """Without it, the refusals below would show nothing."""
    token = token_of(scene)
    again = signed(scene.world.server.directory, header_of(token), claims_of(token))

    assert again != token
    assert {scene.call(again, path) for path in ("1", "guarded", "person")} == {OK}


@pytest.mark.parametrize("what", MUTATIONS)
def test_another_value_is_another_answer(scene: Scene, what: str):
    one = MUTATIONS[what]
    token = token_of(scene)

    def is_kept(_: int) -> bool:
        """Call by the token, by what was made of it, by the token."""
        assert scene.call(token, one.path) == OK
        stored = stored_decision(scene.world.server.directory, scene.api, token)
        answers = [scene.call(mutated(scene, one), one.path) for _ in range(2)]
        assert answers == [one.then, one.then]
        assert scene.call(token, one.path) == OK
        return stored_decision(scene.world.server.directory, scene.api, token) == stored is not None

    # A node forgets all it has stored where its machine's clock is set, which may happen here too.
    assert any(map(is_kept, range(3)))


def test_another_store_is_another_person(scene: Scene):
    """wso2/api-manager#3835."""
    mine, theirs = token_of(scene), mutated(scene, Mutation(OK, {"store": "ELSEWHERE"}))

    names = [enduser(scene, token) for token in (mine, theirs, mine, theirs)]

    assert names == [f"{scene.user}@acme", f"ELSEWHERE/{scene.user}@acme"] * 2


def test_a_denied_person_is_not_the_one_of_that_name_in_another_store(scene: Scene):
    theirs = mutated(scene, Mutation(OK, {"store": "ELSEWHERE"}))
    scene.deny("USER", "{s.user}@acme")
    become(scene, lambda s: s.call(token_of(s)), (403, "900805"))

    answer = scene.call(theirs)

    scene.deny_no_more()
    become(scene, lambda s: s.call(token_of(s)), OK)
    assert answer == OK


def enduser(scene: Scene, token: str) -> str:
    headers = dict(scene.send(token).json()["headers"])
    return str(claims_of(headers["x-jwt-assertion"])[ENDUSER])


ROUTES: dict[str, tuple[Callable[[Scene], str], Answer]] = {
    "another API": (lambda s: "/t/acme/elsewhere/1.0.0/1", (403, "900908")),
    "another organization's API of that name": (lambda s: "/t/other/elsewhere/1.0.0/1", INVALID),
    "another version": (lambda s: f"/t/acme/{s.name}/2.0.0/1", (404, "404")),
    "another resource": (lambda s: f"/t/acme/{s.name}/1.0.0/guarded", (403, "900910")),
}


@pytest.mark.parametrize("what", ROUTES)
def test_another_route_is_another_answer(scene: Scene, what: str):
    url, then = ROUTES[what]
    token = scene.users()
    assert user(scene) == OK

    answer = scene.world.http.get(url(scene), headers={"Authorization": f"Bearer {token}"})

    assert answer_of(answer) == then
    assert user(scene) == OK
