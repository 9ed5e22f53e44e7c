"""Every change is felt at the gateway within a second of its commit, and by nobody whom it does not concern.

A table of changes. Each makes a scene of its own (an API, an application, a user), in which one answer has to
become another one. Beside it stand those who must notice nothing: `neighbour`, an application subscribed to
the same API; `colleague`, another token of the same application; `stranger`, an application elsewhere. Their
stored decisions are compared byte by byte: one that was decided anew is another text.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.system.scenes import (
    ALL,
    INVALID,
    NEW_PASSWORD,
    OK,
    ONE,
    Ask,
    Make,
    Scene,
    World,
    a_store,
    anew,
    application,
    assertion,
    become,
    both_keys,
    bystander,
    delete,
    deny,
    email,
    has_email,
    move,
    next_version,
    often,
    outside_user,
    put_user,
    replay,
    revoke_refresh_token,
    rotate_now,
    scoped,
    scoped_anew,
    scoped_client,
    stored_at,
    thrice,
    user,
    which_backend,
    with_api_key,
    without_version,
)
from tests.system.server import Server
from tests.system.waiting import until
from tests.system.world import LoginServices

pytestmark = pytest.mark.alone

JWKS_MAX_AGE = 1


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    services = LoginServices()
    server = Server(directory / "data")
    server.environment["OSTIARY_TOKENS__JWKS_MAX_AGE"] = str(JWKS_MAX_AGE)
    try:
        server.start()
        world = World(server, services.start().url)
        yield world
        world.close()
    finally:
        server.stop()
        services.close()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happens, and the answer it turns into another one."""

    what: str
    make: Make
    then: object = INVALID
    ask: Ask = application
    before: object = OK
    given: Make = lambda _: None
    undisturbed: tuple[str, ...] = ALL
    token_format: str = "jwt"
    organization: str = "acme"
    """A change that concerns a whole organization happens in one of its own."""


def about_users(*rows: Change) -> list[Change]:
    """Others' tokens of the same application are undisturbed too."""
    return [
        Change(r.what, r.make, r.then, r.ask, r.before, r.given, (*r.undisturbed, "colleague")) for r in rows
    ]


# fmt: off
TOKENS = [
    Change("an access token is revoked", lambda s: s.revoke(s.kept()), undisturbed=(*ALL, "colleague")),
    Change("an opaque token is revoked", lambda s: s.revoke(s.kept()), token_format="opaque"),
    *about_users(
        Change("a refresh token is revoked", revoke_refresh_token, ask=user),
        Change("a refresh token is replayed", replay, ask=user),
    ),
]
CLIENTS = [
    Change("a client is deleted", delete("/oauth/v1/clients/{client}")),
    Change("a client is disabled", lambda s: s.change_client(disabled=True)),
    Change("a client is disabled that has opaque tokens", lambda s: s.change_client(disabled=True),
           token_format="opaque"),
    Change("a client is enabled again", lambda s: s.change_client(disabled=False), OK, anew,
           (401, "invalid_client"), lambda s: s.change_client(disabled=True)),
    Change("a client loses a grant", lambda s: s.change_client(grant_types=["password"])),
    Change("an application's keys are taken away",
           delete("/apim/v1/applications/{s.mine.id}/keys/PRODUCTION"), (INVALID, OK), both_keys, (OK, OK)),
    Change("an application is deleted", delete("/apim/v1/applications/{s.mine.id}"),
           (INVALID, INVALID), both_keys, (OK, OK)),
    Change("an application is renamed",
           lambda s: s.ask("PUT", f"/apim/v1/applications/{s.mine.id}", {"name": "new", "owner": "owner"}),
           "another name", assertion, "its first name"),
]
USERS = about_users(
    Change("a user is disabled", put_user(disabled=True), ask=user),
    Change("a user gets a new password", put_user(password=NEW_PASSWORD), ask=user),
    Change("a user is deleted", delete("/identity/v1/users/{s.user}"), ask=user),
    Change("a user loses a role", lambda s: s.role(users=[]), ask=scoped,
           given=lambda s: s.needs_scope(users=[s.user])),
    Change("a user without a role logs in again", lambda s: s.role(users=[]), (403, "900910"), scoped_anew,
           given=lambda s: s.needs_scope(users=[s.user])),
    Change("a user gets a role", lambda s: s.role(users=[s.user]), OK, scoped_anew, (403, "900910"),
           lambda s: s.needs_scope(users=[])),
    Change("a scope loses its role", lambda s: s.scope(roles=[]), ask=scoped,
           given=lambda s: s.needs_scope(users=[s.user])),
    Change("a scope is deleted", delete("/oauth/v1/scopes/{s.name}"), ask=scoped,
           given=lambda s: s.needs_scope(users=[s.user])),
    Change("a user store is disconnected", delete("/identity/v1/user-stores/{s.notes[store]}"),
           ask=outside_user, given=a_store),
)
ROLES = [
    Change("a client loses a role", lambda s: s.role(clients=[]), ask=scoped_client,
           given=lambda s: s.needs_scope(clients=[s.mine.keys["PRODUCTION"].client_id])),
    Change("a group loses a role", lambda s: s.role(groups=[]), ask=scoped, undisturbed=(),
           given=lambda s: s.needs_scope(users=[s.user], groups=["CORP/sales"]), organization="mapped"),
]
SUBSCRIPTIONS = [
    Change("an application unsubscribes", lambda s: s.unsubscribe(), (403, "900908")),
    Change("a subscription is blocked", lambda s: s.state("BLOCKED"), ((401, "900907"),) * 2,
           both_keys, (OK, OK)),
    Change("a subscription is blocked for production", lambda s: s.state("PROD_ONLY_BLOCKED"),
           ((401, "900907"), OK), both_keys, (OK, OK)),
    Change("a subscription is put on hold", lambda s: s.state("ON_HOLD"), (401, "900909")),
    Change("a block is lifted", lambda s: s.state("UNBLOCKED"), OK, application, (401, "900907"),
           lambda s: s.state("BLOCKED")),
    Change("an application subscribes after a refusal", lambda s: s.subscribe(), OK, application,
           (403, "900908"), lambda s: s.unsubscribe()),
    Change("a subscription gets a smaller plan", lambda s: s.plan(1), (429, "900804"), thrice),
    Change("a plan gets a lower limit", lambda s: s.plan(1), (429, "900804"), thrice, OK,
           lambda s: s.plan(1000)),
    Change("a plan gets a higher limit", lambda s: s.plan(1000), OK, thrice, (429, "900804"),
           lambda s: s.plan(1)),
    Change("an application gets a tier", lambda s: s.tier("10PerMin"), (429, "900803"), often),
    Change("an API gets a limit", lambda s: s.limit(api=ONE), (429, "900800"), thrice),
    Change("an API loses its limit", lambda s: s.limit(), OK, thrice, (429, "900800"),
           lambda s: s.limit(api=ONE)),
    Change("a resource gets a limit", lambda s: s.limit(resource=ONE), (429, "900802"), thrice),
]
APIS = [
    Change("a resource is added", lambda s: s.change_api(("GET", "/*", []), ("POST", "/more", [])), OK,
           lambda s: s.call(s.kept(), "more", "POST"), (405, "900906")),
    Change("a resource is removed", lambda s: s.change_api(("GET", "/other", [])), (404, "900906")),
    Change("a resource takes a scope", lambda s: s.change_api(("GET", "/*", ["write"])), (403, "900910")),
    Change("a resource takes no scope any more", lambda s: s.change_api(("GET", "/*", [])), OK, application,
           (403, "900910"), lambda s: s.change_api(("GET", "/*", ["write"]))),
    Change("a user gets another address", put_user(claims={"email": "new@example.com"}), "new@example.com",
           email, "old@example.com", has_email("old@example.com"), undisturbed=("stranger",)),
    Change("an API asks for claims of its users", has_email("a@example.com"), "a@example.com", email, None,
           undisturbed=("stranger",)),
    Change("an API is published", move("PUBLISHED"), OK, application, (404, "404"), move("CREATED")),
    Change("an API becomes a prototype", move("PROTOTYPED"), OK, application,
           (404, "404"), move("CREATED")),
    Change("an API is withdrawn", move("CREATED"), (404, "404")),
    Change("an API is blocked", move("BLOCKED"), (503, "700700")),
    Change("an API is published again", move("PUBLISHED"), OK, application, (503, "700700"),
           move("BLOCKED")),
    Change("a blocked API is deprecated", move("DEPRECATED"), OK, application, (503, "700700"),
           move("BLOCKED")),
    Change("an API is retired", move("RETIRED"), (404, "404"), given=move("DEPRECATED")),
    Change("an API is deleted", delete("/apim/v1/apis/{s.api}"), (404, "404"), application, (403, "900908"),
           lambda s: s.nobody_subscribes(), undisturbed=("stranger",)),
    Change("a version takes over the subscriptions of the one before",
           lambda s: s.publish_next(require_resubscription=False), OK, next_version, (404, "404"),
           lambda s: s.next_version()),
    Change("a version is published to be subscribed to anew", lambda s: s.publish_next(), (403, "900908"),
           next_version, (404, "404"), lambda s: s.next_version()),
    Change("a backend moves",
           lambda s: s.change_api(production=s.world.other_url, sandbox=s.world.backend_url), "the other",
           which_backend, "the first"),
    Change("an API gets a sandbox", lambda s: s.change_api(), (OK, OK), both_keys, (OK, INVALID),
           lambda s: s.change_api(production=s.world.backend_url), undisturbed=("stranger",)),
]
DENIED = (403, "900805")
WHO_MAY_CALL = [
    Change("an API key is revoked",
           delete("/apim/v1/applications/{s.mine.id}/api-keys/{s.notes[api key][id]}"), INVALID, with_api_key,
           given=lambda s: s.an_api_key()),
    Change("an API takes no API keys any more", lambda s: s.expose(), INVALID, with_api_key,
           given=lambda s: s.an_api_key()),
    *about_users(
        Change("a user is denied", deny("USER", "{s.user}@acme"), DENIED, user),
    ),
    Change("an application is denied", deny("APPLICATION", "owner:{s.name}"), DENIED),
    Change("an API is denied", deny("API", "/{s.name}/1.0.0"), DENIED),
    Change("an address is denied", deny("IP", "127.0.0.1"), DENIED, organization="walled"),
    Change("a denial is lifted", lambda s: s.deny_no_more(), OK, application, DENIED,
           deny("APPLICATION", "owner:{s.name}")),
    Change("a version becomes the default", lambda s: s.expose(default_version=True), OK, without_version,
           (404, "404")),
]
KEYS = [
    Change("every key is replaced at once", rotate_now, undisturbed=(), organization="rotated"),
    Change("every key is replaced and a client comes back", rotate_now, OK, anew, undisturbed=(),
           organization="rotated"),
]
# fmt: on

EVERY_CHANGE = [*TOKENS, *CLIENTS, *USERS, *ROLES, *SUBSCRIPTIONS, *APIS, *WHO_MAY_CALL, *KEYS]


@pytest.mark.parametrize("change", EVERY_CHANGE, ids=[change.what for change in EVERY_CHANGE])
def test_a_change_is_felt_within_a_second_and_by_nobody_it_does_not_concern(world: World, change: Change):
    scene = Scene(world, world.organization(change.organization), change.token_format)
    become(scene, application, OK)
    bystanders = {name: bystander(scene, name) for name in change.undisturbed}
    stored = {name: until(lambda one=one: stored_at(scene, one)) for name, one in bystanders.items()}
    change.given(scene)
    become(scene, change.ask, change.before)

    change.make(scene)

    become(scene, change.ask, change.then)
    assert {name: stored_at(scene, one) for name, one in bystanders.items()} == stored


def test_a_subscription_after_a_refusal_is_felt_by_the_very_next_call(world: World):
    scene = Scene(world, world.organization("acme"))
    scene.unsubscribe()
    become(scene, application, (403, "900908"))

    scene.subscribe()

    assert application(scene) == OK


def test_a_new_secret_ends_no_token_and_the_old_one_is_worth_nothing(world: World):
    scene = Scene(world, world.organization("acme"))
    become(scene, application, OK)

    scene.change_client(client_secret="another-secret")

    assert anew(scene) == (401, "invalid_client")
    assert application(scene) == OK


def test_tokens_of_the_key_before_go_on_beside_those_of_the_next(world: World):
    scene = world.first

    def another_key_signs() -> bool:
        token = scene.got()["access_token"]
        assert scene.call(token) == OK
        return header_of(token) != header_of(scene.kept())

    until(another_key_signs, 60.0, "the next key's first signature")
    assert application(scene) == OK


def header_of(token: str) -> str:
    return token.partition(".")[0]
