"""Applying organization files: one transaction, idempotent, nothing rotated, nothing widened by chance."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.http.declarative.files import apply, lines, the_example

from ostiary import apim, identity, oauth, organizations, permissions
from ostiary.declarative import Detail, OrganizationPlan, Refused, read_documents
from ostiary.foundation.database import Database
from ostiary.permissions import Member, MemberName, roles_of

EVERYTHING = [
    "+ organization my_company",
    "+ user store EXTERNAL",
    "+ plan Tiny",
    "+ role support",
    "+ role clerk",
    "+ user bob",
    "+ scope orders:write",
    "+ api Orders 1.0.0",
    "+ application Mobile",
    "+ client mobile",
    "+ subscription Mobile → Orders 1.0.0",
]


async def here(database: Database) -> str:
    """The identifier of `my_company`."""
    found = await database.read(lambda c: organizations.find(c, "my_company"))
    assert found is not None
    return found.id


async def refusals(database: Database, *contents: dict[str, Any], **options: Any) -> list[str]:
    """What is said against contents that cannot be applied."""
    with pytest.raises(Refused) as refusal:
        await apply(database, *contents, **options)
    return [str(complaint) for complaint in refusal.value.complaints]


async def minimums(database: Database) -> set[tuple[str, str]]:
    """Everything that was narrowed."""
    organization_id = await here(database)
    return set(await database.read(lambda c: organizations.minimums(c, organization_id)))


def details(plans: list[OrganizationPlan]) -> list[Detail]:
    """The details of every change."""
    return [detail for plan in plans for change in plan.changes for detail in change.details]


async def test_the_example_applies_and_a_second_time_changes_nothing(database: Database):
    assert lines(await apply(database, the_example())) == EVERYTHING
    assert lines(await apply(database, the_example())) == []


async def test_what_the_example_says_is_there(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    organization_id = await here(sqlite_database)

    def everything(c: Connection) -> tuple[Any, ...]:
        api = apim.find_api_named(c, organization_id, "Orders", "1.0.0")
        (application,) = apim.list_applications(c, organization_id)
        (subscription,) = apim.subscriptions_of_application(c, organization_id, application.id)
        (store,) = identity.list_user_stores(c, organization_id)
        user = identity.find_user(c, organization_id, "bob")
        client = oauth.find_client(c, organization_id, "mobile")
        return api, application, subscription, store, user, client, permissions.list_roles(c, organization_id)

    api, application, subscription, store, user, client, roles = await sqlite_database.read(everything)
    assert (api.context, api.state, api.plans) == ("/orders", "PUBLISHED", ("Gold", "Tiny"))
    assert api.resources[2] == apim.Resource("POST", "/", ("orders:write",))
    assert (application.owner, application.owner_subject) == ("bob", user.subject_id)
    assert application.keys == {apim.KeyType.PRODUCTION: "mobile"}
    assert (subscription.api_id, subscription.plan, subscription.state) == (api.id, "Gold", "UNBLOCKED")
    assert (store.url, store.basic_username, store.sealed_password is not None) == (
        "http://127.0.0.1:9700/authenticate",
        "gateway",
        True,
    )
    assert user.claims == {"email": "bob@example.com"}
    assert client.grant_types == {"password", "client_credentials", "refresh_token"}
    assert {role.name: set(role.members) for role in roles} == {
        "admin": set(),
        "support": {MemberName("user", "PRIMARY", "bob")},
        "clerk": {MemberName("user", "EXTERNAL", "testuser"), MemberName("group", "CORP", "sales")},
    }


async def test_a_dry_run_says_the_same_and_changes_nothing(database: Database):
    assert lines(await apply(database, the_example(), dry_run=True)) == EVERYTHING
    assert await database.read(lambda c: organizations.find(c, "my_company")) is None
    assert lines(await apply(database, the_example(), dry_run=True)) == EVERYTHING


async def secrets(database: Database) -> tuple[Any, ...]:
    """Every secret of the example as it is kept."""
    organization_id = await here(database)

    def read(c: Connection) -> tuple[Any, ...]:
        client = oauth.find_client(c, organization_id, "mobile")
        store = identity.find_user_store(c, organization_id, "EXTERNAL")
        user = identity.find_user(c, organization_id, "bob")
        assert client
        assert store
        assert user
        return client.secret_fingerprint, store.sealed_password, user.updated_at

    return await database.read(read)


def with_other_secrets() -> dict[str, Any]:
    """The example with every secret changed."""
    content = the_example()
    content["users"][0]["password"] = "another"
    content["user_stores"][0]["auth"]["basic"]["password"] = "another"
    content["applications"][0]["keys"]["production"]["client_secret"] = "another"
    return content


async def test_applying_again_rotates_no_secret(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    before = await secrets(sqlite_database)

    assert lines(await apply(sqlite_database, with_other_secrets())) == []
    assert await secrets(sqlite_database) == before


async def test_secrets_are_set_when_asked_for(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    before = await secrets(sqlite_database)

    changes = await apply(sqlite_database, with_other_secrets(), set_secrets=True)

    assert lines(changes) == ["~ user store EXTERNAL", "~ user bob", "~ client mobile"]
    assert {detail.after for detail in details(changes)} == {"set"}
    assert not set(before) & set(await secrets(sqlite_database))


async def test_an_exported_file_sets_nothing_anew(sqlite_database: Database):
    """A file that says `{unchanged: true}` for every secret applies to the same installation."""
    await apply(sqlite_database, the_example())
    content, keep = the_example(), {"unchanged": True}
    content["users"][0]["password"] = keep
    content["user_stores"][0]["auth"]["basic"]["password"] = keep
    content["applications"][0]["keys"]["production"]["client_secret"] = keep
    assert lines(await apply(sqlite_database, content, set_secrets=True)) == []


async def test_a_new_things_secret_cannot_stay_as_it_is(sqlite_database: Database):
    content = the_example()
    content["users"][0]["password"] = {"unchanged": True}
    assert await refusals(sqlite_database, content) == [
        "documents[0].users[0].password: "
        "found {unchanged: true}, expected a value, because there is none to keep"
    ]


async def test_new_things_need_their_secrets(sqlite_database: Database):
    content = the_example()
    del content["users"][0]["password"]
    del content["applications"][0]["keys"]["production"]["client_secret"]
    assert await refusals(sqlite_database, content) == [
        "documents[0].users[0]: found nothing, expected the key 'password', because the user is new",
        "documents[0].applications[0].keys.production: "
        "found nothing, expected the key 'client_secret', because the client is new",
    ]


async def test_a_moved_store_is_never_sent_the_old_secret(sqlite_database: Database):
    """CVE-2026-15943: a masked secret was used again after the URL had changed."""
    await apply(sqlite_database, the_example())
    content = the_example()
    content["user_stores"][0] |= {"url": "http://127.0.0.1:9999/thief"}
    content["user_stores"][0]["auth"]["basic"]["password"] = {"unchanged": True}

    changes = await apply(sqlite_database, content)

    assert details(changes)[1] == Detail("auth.basic.password", None, "cleared")
    assert (await secrets(sqlite_database))[1] is None


async def test_a_moved_store_takes_the_secret_its_file_gives(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = with_other_secrets()
    content["user_stores"][0] |= {"url": "http://127.0.0.1:9999/moved"}

    assert lines(await apply(sqlite_database, content)) == ["~ user store EXTERNAL"]
    assert (await secrets(sqlite_database))[1] is not None


async def test_a_client_that_loses_a_grant_is_narrowed(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["applications"][0]["keys"]["production"]["grant_types"] = ["client_credentials"]

    assert lines(await apply(sqlite_database, content)) == ["~ client mobile"]
    assert ("client", "mobile") in await minimums(sqlite_database)


async def test_a_scope_that_loses_a_role_is_narrowed(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["scopes"][0]["roles"] = []

    assert lines(await apply(sqlite_database, content)) == ["~ scope orders:write"]
    assert ("scope", "orders:write") in await minimums(sqlite_database)


async def test_a_role_that_loses_a_member_narrows_that_person(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    organization_id = await here(sqlite_database)
    user = await sqlite_database.read(lambda c: identity.find_user(c, organization_id, "bob"))
    assert user is not None
    seen = Member(user.subject_id, "PRIMARY", "bob")
    assert await sqlite_database.write(lambda c: roles_of(c, organization_id, seen)) == {"support"}
    content = the_example()
    content["users"][0]["roles"] = []

    assert lines(await apply(sqlite_database, content)) == ["~ role support"]
    assert ("subject", user.subject_id) in await minimums(sqlite_database)
    assert await sqlite_database.write(lambda c: roles_of(c, organization_id, seen)) == frozenset()


async def test_widening_narrows_nobody(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["roles"][1]["users"].append("bob")
    content["scopes"][0]["roles"].append("support")
    content["applications"][0]["keys"]["production"]["strict_scopes"] = True

    changed = lines(await apply(sqlite_database, content))

    assert changed == ["~ role clerk", "~ scope orders:write", "~ client mobile"]
    assert await minimums(sqlite_database) == set()


async def test_what_a_file_no_longer_lists_under_an_application_goes(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["applications"][0]["subscriptions"] = []
    assert lines(await apply(sqlite_database, content)) == ["- subscription Mobile → Orders 1.0.0"]
    assert lines(await apply(sqlite_database, content)) == []


async def test_what_a_file_does_not_speak_of_stays(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    for key in ("users", "roles", "scopes", "plans", "apis", "applications", "user_stores"):
        del content[key]
    assert lines(await apply(sqlite_database, content)) == []
    assert len(await secrets(sqlite_database)) == 3


async def test_another_client_id_replaces_the_client(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["applications"][0]["keys"]["production"]["client_id"] = "mobile2"

    assert lines(await apply(sqlite_database, content)) == ["- client mobile", "+ client mobile2"]
    assert lines(await apply(sqlite_database, content)) == []
    assert ("client", "mobile") in await minimums(sqlite_database)


async def test_every_attribute_can_change_and_then_stays(database: Database):
    await apply(database, the_example())
    content = the_example()
    content["organization"] |= {"display_name": "Ours", "chain": "any", "features": ["challenge_questions"]}
    content["user_stores"][0] |= {
        "timeout_ms": 500,
        "accepts": "*@x",
        "concurrency": 3,
        "case_sensitive": True,
    }
    content["users"][0]["claims"] = {"given_name": "Bob"}
    content["roles"][0]["permissions"] = []
    content["scopes"] = [{"name": "orders:write", "everyone": True}]
    content["plans"][0] |= {"requests": 6, "per": "hour"}
    content["apis"][0] |= {"context": "/shop", "state": "DEPRECATED", "plans": ["Gold"]}
    content["apis"][0]["backend"] = {"production": ["http://127.0.0.1:1"], "sandbox": ["http://127.0.0.1:2"]}
    content["apis"][0]["resources"] = [{"method": "GET", "path": "/*"}]
    content["applications"][0] |= {"owner": "EXTERNAL/testuser"}
    content["applications"][0]["keys"]["production"] |= {
        "token_format": "opaque",
        "scopes": ["orders:write"],
        "default_scope": ["orders:write"],
        "internal_scopes": True,
        "validity_period": "bounded",
        "access_token_lifetime_seconds": 60,
        "refresh_token_lifetime_seconds": 120,
    }

    assert lines(await apply(database, content)) == [
        "~ organization my_company",
        "~ user store EXTERNAL",
        "~ plan Tiny",
        "~ role support",
        "~ user bob",
        "~ scope orders:write",
        "~ api Orders 1.0.0",
        "~ application Mobile",
        "~ client mobile",
    ]
    assert lines(await apply(database, content)) == []


async def test_stores_are_asked_in_the_order_of_the_file(sqlite_database: Database):
    content = the_example()
    content["user_stores"].append({"name": "SECOND", "type": "rest", "url": "https://second.example/login"})
    await apply(sqlite_database, content)
    content["user_stores"].reverse()

    assert lines(await apply(sqlite_database, content)) == ["~ user store SECOND", "~ user store EXTERNAL"]
    organization_id = await here(sqlite_database)
    stores = await sqlite_database.read(lambda c: identity.list_user_stores(c, organization_id))
    assert [store.name for store in stores] == ["SECOND", "EXTERNAL"]
    assert lines(await apply(sqlite_database, content)) == []


async def test_a_new_organization_has_its_admin_role_and_a_file_can_fill_it(sqlite_database: Database):
    content = the_example()
    content["users"][0]["roles"] = ["admin", "support"]
    assert "+ role admin" in lines(await apply(sqlite_database, content))
    organization_id = await here(sqlite_database)
    role = await sqlite_database.read(lambda c: permissions.find_role(c, organization_id, "admin"))
    assert role is not None
    assert (role.permissions, set(role.members)) == (
        permissions.ADMIN_PERMISSIONS,
        {MemberName("user", "PRIMARY", "bob")},
    )
    assert lines(await apply(sqlite_database, content)) == []


SPOILED = read_documents((Path(__file__).parent / "refusals.yaml").read_text(), "refusals.yaml")[0].data


@pytest.mark.parametrize("spoiled", SPOILED, ids=[row["complaint"][:40] for row in SPOILED])
async def test_what_cannot_be_is_refused_and_nothing_is_done(
    sqlite_database: Database, spoiled: dict[str, Any]
):
    content = the_example()
    holder: Any = content
    for step in spoiled["path"][:-1]:
        holder = holder[step]
    holder[spoiled["path"][-1]] = spoiled["value"]

    assert f"documents[0].{spoiled['complaint']}" in await refusals(sqlite_database, content)
    assert await sqlite_database.read(organizations.all_organizations) == []


async def test_all_files_are_applied_or_none(database: Database):
    other = the_example() | {"organization": {"name": "other"}}
    other["applications"][0]["keys"]["production"]["client_id"] = "other-mobile"
    spoiled = the_example() | {"organization": {"name": "spoiled"}}  # its client id is my_company's

    assert await refusals(database, the_example(), other, spoiled) == [
        "documents[2].applications[0].keys.production.client_id: "
        "expected mobile is taken in this installation; choose another"
    ]
    assert await database.read(organizations.all_organizations) == []
    assert len(lines(await apply(database, the_example(), other))) == 2 * len(EVERYTHING)


async def test_one_organization_is_applied_from_one_file(sqlite_database: Database):
    assert await refusals(sqlite_database, the_example(), the_example()) == [
        "documents[1].organization.name: found 'my_company' a second time, "
        "expected one document for an organization"
    ]


async def test_applied_by_two_people_at_once_it_is_applied_once(database: Database):
    plans = await asyncio.gather(*(apply(database, the_example()) for _ in range(4)))
    assert sorted(len(lines(plan)) for plan in plans) == [0, 0, 0, len(EVERYTHING)]
    assert lines(await apply(database, the_example())) == []


async def test_what_was_changed_elsewhere_is_brought_back(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    organization_id = await here(sqlite_database)

    def drift(c: Connection) -> None:
        api = apim.find_api_named(c, organization_id, "Orders", "1.0.0")
        assert api is not None
        apim.change_state(c, organization_id, api.id, apim.LifecycleState.BLOCKED)
        oauth.delete_client(c, organization_id, "mobile")

    await sqlite_database.write(drift)
    assert lines(await apply(sqlite_database, the_example())) == ["~ api Orders 1.0.0", "+ client mobile"]
    assert lines(await apply(sqlite_database, the_example())) == []


async def test_a_retired_api_stays_retired(sqlite_database: Database):
    content = the_example()
    content["apis"][0]["state"] = "RETIRED"
    content["applications"][0]["subscriptions"] = []
    await apply(sqlite_database, content)
    said = await refusals(sqlite_database, the_example())
    assert said[0] == "documents[0].apis[0]: an API version that is RETIRED can never become PUBLISHED"
