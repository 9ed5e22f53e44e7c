"""Internal scopes: who gets which (design of scopes), by every grant."""

from dataclasses import replace
from typing import Any

import pytest
from tests.http.oauth.installation import Installation
from tests.support.identity import PASSWORD

from ostiary.foundation.identifiers import new_id
from ostiary.permissions import (
    ADMIN,
    BINDINGS,
    LOGIN,
    PROTECTED,
    MemberName,
    Role,
    a_client,
    a_user,
    internal_scopes_of,
    put_role,
)

VIEW = "internal_identity_mgt_view"
IDENTITY_MGT = "/permission/admin/manage/identity/identitymgt"


@pytest.fixture
async def console(installation: Installation) -> Installation:
    """With the user bob and the client `console`, which is marked for internal scopes."""
    await installation.a_client("console", internal_scopes=True)
    await installation.a_user("bob")
    return installation


async def give(here: Installation, *permissions: str, to: MemberName | None = None) -> Role:
    role = Role(new_id(), here.organization.id, "support", permissions, frozenset({to or a_user("bob")}))
    await here.database.write(lambda c: put_role(c, role))
    return role


async def granted(here: Installation, scope: str | None, client: str = "console") -> set[str]:
    form = {} if scope is None else {"scope": scope}
    answer = await here.token(client, grant_type="password", username="bob", password=PASSWORD, **form)
    assert answer.status_code == 200, answer.text
    return set(answer.json()["scope"].split())


async def test_a_user_with_the_permission_gets_the_scope(console: Installation):
    await give(console, f"{IDENTITY_MGT}/view")

    assert await granted(console, VIEW) == {VIEW}


async def test_a_user_with_an_ancestor_of_the_permission_gets_the_scope(console: Installation):
    await give(console, IDENTITY_MGT)

    assert await granted(console, f"{VIEW} internal_identity_mgt_update internal_user_mgt_list") == {
        VIEW,
        "internal_identity_mgt_update",
    }


async def test_a_scope_that_one_is_not_entitled_to_is_dropped_and_the_answer_says_so(console: Installation):
    await console.a_scope("somescope", everyone=True)

    assert await granted(console, VIEW) == {"default"}
    assert await granted(console, f"{VIEW} somescope") == {"somescope"}


async def test_system_is_every_scope_one_qualifies_for_listed(console: Installation):
    await console.a_scope("somescope", everyone=True)
    await give(console, f"{IDENTITY_MGT}/view")

    assert await granted(console, "SYSTEM") == {VIEW, LOGIN}
    assert await granted(console, "SYSTEM somescope") == {VIEW, LOGIN, "somescope"}


async def test_system_of_an_administrator_is_all_of_its_organization(console: Installation):
    await give(console, ADMIN)

    got = await granted(console, "SYSTEM")

    assert got == {LOGIN} | internal_scopes_of(frozenset({ADMIN}), BINDINGS, is_user=True)
    assert not any(BINDINGS[scope] & {PROTECTED} for scope in got - {LOGIN})


async def test_a_client_that_is_not_marked_gets_no_internal_scope(console: Installation):
    await console.a_client("mobile")
    await give(console, ADMIN)

    assert await granted(console, f"SYSTEM {VIEW} {LOGIN}", "mobile") == {"default"}


async def test_a_marked_client_with_a_list_gets_the_internal_scopes_on_it_alone(console: Installation):
    await console.a_client("script", internal_scopes=True, scopes=frozenset({VIEW}))
    await give(console, ADMIN)

    assert await granted(console, "SYSTEM", "script") == {VIEW}


async def test_every_user_may_log_in_and_no_client_for_itself(console: Installation):
    await give(console, f"{IDENTITY_MGT}/view", to=a_client("console"))

    assert await granted(console, LOGIN) == {LOGIN}
    own = await console.token("console", grant_type="client_credentials", scope="SYSTEM")
    assert own.json()["scope"] == VIEW


async def test_a_refresh_narrows_to_what_holds_now_and_never_widens(console: Installation):
    role = await give(console, IDENTITY_MGT)
    first = await console.password_token(by="console", scope=f"{VIEW} internal_identity_mgt_update")

    narrower = replace(role, permissions=(f"{IDENTITY_MGT}/view",))
    await console.database.write(lambda c: put_role(c, narrower))
    second = (await console.refresh(first["refresh_token"], by="console")).json()
    assert second["scope"] == VIEW

    await console.database.write(lambda c: put_role(c, replace(role, permissions=(ADMIN,))))
    third = (await console.refresh(second["refresh_token"], by="console", scope="SYSTEM")).json()
    assert set(third["scope"].split()) <= {VIEW, "internal_identity_mgt_update"}


async def test_a_token_for_management_says_so_and_no_other_does(console: Installation):
    await give(console, f"{IDENTITY_MGT}/view")
    one = await console.password_token(by="console", scope=VIEW)
    other = await console.password_token(by="console", scope="default")

    audiences = [(await console.introspect(t["access_token"], "console"))["aud"] for t in (one, other)]
    issuer = "https://door.example/t/my_company"
    assert audiences == [[f"{issuer}/gateway", f"{issuer}/management"], f"{issuer}/gateway"]


async def test_a_strict_client_is_told_what_its_user_may_not_have(console: Installation):
    await console.a_client("strict", internal_scopes=True, strict_scopes=True)
    form: dict[str, Any] = {"grant_type": "password", "username": "bob", "password": PASSWORD}

    refused = await console.token("strict", scope=VIEW, **form)
    served = await console.token("strict", scope="SYSTEM", **form)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    assert served.json()["scope"] == LOGIN
