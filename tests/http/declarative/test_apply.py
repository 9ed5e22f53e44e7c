"""Applying organization files: one transaction, idempotent, exactly what they say."""

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from tests.http.declarative.files import (
    ENVIRONMENT,
    EVERYTHING,
    apply,
    here,
    lines,
    minimums,
    secrets,
    the_example,
)

from ostiary import apim, identity, oauth, organizations, permissions
from ostiary.declarative import Resolver, read_documents, read_file, to_wire
from ostiary.foundation.database import Database
from ostiary.permissions import MemberName


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
    assert store.settings == {
        "url": "http://127.0.0.1:9700/authenticate",
        "auth": {"basic": {"username": "gateway"}},
    }
    assert set(store.sealed) == {"auth.basic.password"}
    assert user.claims == {"email": "bob@example.com"}
    assert client.grant_types == {"password", "client_credentials", "refresh_token"}
    assert {role.name: set(role.members) for role in roles} == {
        **{name: set() for name in permissions.BUILT_IN_ROLES},
        "support": {MemberName("user", "PRIMARY", "bob")},
        "clerk": {MemberName("user", "EXTERNAL", "testuser"), MemberName("group", "CORP", "sales")},
    }


async def test_a_dry_run_says_the_same_and_changes_nothing(database: Database):
    assert lines(await apply(database, the_example(), dry_run=True)) == EVERYTHING
    assert await database.read(lambda c: organizations.find(c, "my_company")) is None
    assert lines(await apply(database, the_example(), dry_run=True)) == EVERYTHING


async def test_what_a_file_no_longer_lists_under_an_application_goes(sqlite_database: Database):
    await apply(sqlite_database, the_example())
    content = the_example()
    content["applications"][0]["subscriptions"] = []
    assert lines(await apply(sqlite_database, content)) == ["- subscription Mobile > Orders 1.0.0"]
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
    content["apis"][0]["backend"] |= {"breaker_failures": 3, "breaker_pause_seconds": 20}
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
        (permissions.ADMIN,),
        {MemberName("user", "PRIMARY", "bob")},
    )
    assert lines(await apply(sqlite_database, content)) == []


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


async def test_limits_of_every_level_are_what_the_file_says(database: Database):
    content = the_example()
    burst, few = {"requests": 5, "per": "second"}, {"requests": 5, "per": "hour"}
    content["plans"] += [
        {"name": "Burst", "requests": 50, "per": "day", "burst": burst, "bandwidth": "1024MB"},
        {"name": "Volume", "bandwidth": "10KB"},
    ]
    content["apis"][0] |= {"limit": "10KPerMin"}
    content["apis"][0]["resources"][0] |= {"limit": few}
    content["applications"][0] |= {"tier": "20PerMin"}

    await apply(database, content)
    organization_id = await here(database)

    def everything(c: Connection) -> tuple[Any, ...]:
        plans = {plan.name: plan for plan in apim.list_plans(c, organization_id)}
        (application,) = apim.list_applications(c, organization_id)
        return plans, apim.find_api_named(c, organization_id, "Orders", "1.0.0"), application

    plans, api, application = await database.read(everything)
    assert (plans["Burst"].requests, plans["Burst"].burst) == (50, apim.Limit(5, apim.Period.SECOND))
    assert (plans["Burst"].bandwidth, plans["Volume"].bandwidth) == (2**30, 10 * 2**10)
    assert (plans["Volume"].requests, plans["Volume"].burst) == (None, None)
    assert api.limit == apim.Limit(10_000, apim.Period.MINUTE)
    assert [resource.limit for resource in api.resources] == [apim.Limit(5, apim.Period.HOUR), None, None]
    assert application.tier == "20PerMin"
    assert lines(await apply(database, content)) == []

    for thing in (content["apis"][0], content["apis"][0]["resources"][0], content["applications"][0]):
        thing.pop("limit", thing.pop("tier", None))
    assert lines(await apply(database, content)) == ["~ api Orders 1.0.0", "~ application Mobile"]


async def test_what_takes_effect_later_is_accepted_checked_and_said(database: Database, tmp_path: Path):
    text = (Path(__file__).parent / "later.yaml").read_text()
    file = read_file(read_documents(text, "later.yaml")[0], Resolver(ENVIRONMENT, tmp_path))

    (plan,) = await apply(database, to_wire(file))

    assert [line for line in lines([plan]) if "store" in line] == ["+ user store PLAIN"]
    assert [notice.removeprefix("not in effect yet: ") for notice in plan.notices] == [
        "the grant types authorization_code of Mobile (production)",
        "the scope openid of Mobile (production)",
    ]
    assert lines(await apply(database, to_wire(file))) == []


async def test_stores_of_every_type_are_what_the_file_says(database: Database, tmp_path: Path):
    (tmp_path / "corp-ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    text = (Path(__file__).parent / "stores.yaml").read_text()
    file = read_file(read_documents(text, "stores.yaml")[0], Resolver(ENVIRONMENT, tmp_path))

    assert [line for line in lines(await apply(database, to_wire(file))) if "store" in line] == [
        f"+ user store {store.name}" for store in file.user_stores
    ]

    organization_id = await here(database)
    stores = await database.read(lambda c: identity.list_user_stores(c, organization_id))
    assert {store.name: sorted(store.sealed) for store in stores} == {
        "CORP": ["bind.password"],
        "AD": [],
        "SHOP": ["password"],
        "LEGACY": [],
    }
    assert "pass" not in str([store.settings for store in stores]).replace("password_hash", "").replace(
        "{password}", ""
    )
    assert lines(await apply(database, to_wire(file))) == []
