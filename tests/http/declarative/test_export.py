"""Exporting: the file that changes nothing, and what it never says."""

from typing import Any

import pytest
import yaml
from sqlalchemy import Connection
from tests.http.declarative.files import apply, here, lines, the_example
from tests.http.declarative.whole import KEY, MARKER, a_whole_file, keys_of

from ostiary import apim, identity, oauth
from ostiary.declarative import (
    Export,
    Resolver,
    laid_out,
    read_documents,
    read_file,
    refer_to_secrets,
    to_wire,
)
from ostiary.declarative.export import TooLarge, export
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database

NOT_EXPORTED = {
    ("users", "password"),  # people keep their own
    ("users", "roles"),  # said at the role
    ("user_stores", "enabled"),  # as it is without being said, like all that follow
    ("user_stores", "request", "method"),
    ("user_stores", "request", "format"),
}


async def exported(database: Database, *without: str) -> Export:
    """The organization of the examples."""
    found = await export(database, "my_company", without)
    assert found is not None
    return found


async def test_an_export_applied_again_changes_nothing_whatever_a_file_can_say(database: Database):
    await apply(database, a_whole_file())

    found = await exported(database)

    assert lines(await apply(database, found.document)) == []
    assert (await exported(database)) == found
    assert found.left_out == ()
    said = set(keys_of(found.document))
    assert {key for key in keys_of(a_whole_file()) if key not in said} <= NOT_EXPORTED


async def test_an_export_written_as_yaml_changes_nothing_and_says_which_secrets_it_needs(
    sqlite_database: Database, tmp_path: Any
):
    await apply(sqlite_database, a_whole_file())
    found = await exported(sqlite_database)

    document, names = refer_to_secrets(found.document, found.secrets)
    text = laid_out(document)

    assert names == [
        "EXTERNAL_AUTH_BASIC_PASSWORD",
        "EXTERNAL_CLIENT_CERTIFICATE_KEY",
        "EXTERNAL_PROXY_PASSWORD",
        "LEGACY_AUTH_SIGNATURE_SECRET",
        "TOKEN_AUTH_BEARER_TOKEN",
        "SIGNED_AUTH_SIGNED_TOKEN_KEY",
        "CORP_BIND_PASSWORD",
        "DOMAIN_BIND_PASSWORD",
        "SHOP_PASSWORD",
        "ORDERS_1_0_0_CLIENT_KEY",
        "MOBILE_SECRET",
        "MOBILE_BOX_SECRET",
    ]
    assert yaml.safe_load(text) == document
    (read,) = read_documents(text, "export.yaml")
    file = read_file(read, Resolver(dict.fromkeys(names, "anything at all"), tmp_path))
    assert lines(await apply(sqlite_database, to_wire(file))) == []


async def test_no_secret_is_in_an_export(sqlite_database: Database):
    """Attack: whoever may read files of an organization looks for its secrets in them."""
    await apply(sqlite_database, a_whole_file())
    found = await exported(sqlite_database)

    told = f"{found!r} {laid_out(found.document)}"

    for secret in (MARKER, KEY, *KEY.splitlines()[1:-1], "$argon2", "sealed", "fingerprint"):
        assert secret not in told
    assert len(found.secrets) == 12


async def test_what_is_built_in_and_as_it_was_made_is_left_out(sqlite_database: Database):
    await apply(sqlite_database, {"apiVersion": "ostiary/v1", "organization": {"name": "my_company"}})

    found = await exported(sqlite_database)

    assert found.document == {"apiVersion": "ostiary/v1", "organization": {"name": "my_company"}}
    assert (found.secrets, found.left_out) == ((), ())


async def test_sections_may_be_left_out(sqlite_database: Database):
    await apply(sqlite_database, the_example())

    found = await exported(sqlite_database, "users", "user_stores", "apis", "roles")

    assert list(found.document) == ["apiVersion", "organization", "scopes", "plans", "applications"]
    assert lines(await apply(sqlite_database, found.document)) == []


async def test_an_organization_that_one_apply_does_not_take_is_refused_with_what_is_too_much(
    sqlite_database: Database,
):
    await apply(sqlite_database, the_example())
    organization_id = await here(sqlite_database)

    def many(c: Connection) -> None:
        for number in range(1_100):
            identity.put_user(c, identity.UserSpec(organization_id, f"user{number}", "$hash$"), utc_now)

    await sqlite_database.write(many)

    with pytest.raises(TooLarge) as refusal:
        await exported(sqlite_database)
    assert "(user_stores 1, users over 1,000, roles 2, scopes 1, plans 1, apis 1, applications 1)" in str(
        refusal.value
    )
    assert "users" not in (await exported(sqlite_database, "users")).document


async def test_what_no_file_can_say_is_told(sqlite_database: Database):
    content = the_example()
    content["user_stores"].append(
        {"name": "OLD", "type": "rest", "url": "https://old.example/", "auth": {"bearer": {"token": "x"}}}
    )
    content["roles"].append({"name": "old", "users": ["OLD/ann", "bob"]})
    content["deny"] = [{"condition": "USER", "value": "OLD/ann"}]
    await apply(sqlite_database, content)
    organization_id = await here(sqlite_database)

    def change(c: Connection) -> None:
        identity.delete_user_store(c, organization_id, "OLD", oauth.clients_asking)
        identity.disable_user(c, organization_id, "bob", utc_now)
        (application,) = apim.list_applications(c, organization_id)
        (one,) = apim.subscriptions_of_application(c, organization_id, application.id)
        apim.change_subscription(c, organization_id, one.id, state=apim.SubscriptionState.BLOCKED)

    await sqlite_database.write(change)

    found = await exported(sqlite_database)

    assert found.left_out == (
        "that the user bob is disabled",
        "the member OLD/ann of the role old: there is no such user store",
        "that the subscription Mobile > Orders 1.0.0 is BLOCKED",
        "the deny policy about OLD/ann@my_company: there is no such user store",
    )
    assert lines(await apply(sqlite_database, found.document)) == ["~ role old"]


async def test_what_refers_to_things_that_are_gone_still_changes_nothing(sqlite_database: Database):
    """An export is no other organization because somebody deleted a role, a scope or a plan's offer."""
    content = the_example()
    content["applications"][0]["keys"]["production"]["scopes"] = ["orders:write"]
    await apply(sqlite_database, content)
    organization_id = await here(sqlite_database)

    def change(c: Connection) -> None:
        oauth.delete_scope(c, organization_id, "orders:write")
        oauth.put_scope(c, organization_id, oauth.ScopeSpec("left", roles=frozenset({"gone"})))

    await sqlite_database.write(change)
    narrower = the_example()
    narrower["apis"][0] |= {"plans": ["Tiny"], "resources": [{"method": "GET", "path": "/"}]}
    narrower["scopes"], narrower["applications"] = [], []
    assert lines(await apply(sqlite_database, narrower)) == ["~ api Orders 1.0.0"]

    found = await exported(sqlite_database)

    assert lines(await apply(sqlite_database, found.document)) == []


async def test_stores_keep_their_places_after_one_between_them_is_gone(sqlite_database: Database):
    await apply(sqlite_database, a_whole_file())
    organization_id = await here(sqlite_database)
    await sqlite_database.write(
        lambda c: identity.delete_user_store(c, organization_id, "TOKEN", oauth.clients_asking)
    )

    found = await exported(sqlite_database)

    assert lines(await apply(sqlite_database, found.document)) == []


async def test_a_new_store_is_asked_after_those_that_its_file_does_not_list(sqlite_database: Database):
    """Two files that list a store each: neither takes the other's place, and an export keeps the order."""
    content = {key: a_whole_file()[key] for key in ("apiVersion", "organization", "user_stores")}
    first, second, third = content["user_stores"][2:5]
    for listed in ([second], [third], [first, second]):
        await apply(sqlite_database, content | {"user_stores": listed})

    found = await exported(sqlite_database)

    names = [store["name"] for store in found.document["user_stores"]]
    assert names == [third["name"], first["name"], second["name"]]
    assert lines(await apply(sqlite_database, found.document)) == []


async def test_the_roles_of_default_are_exported_as_they_are(sqlite_database: Database):
    await apply(
        sqlite_database,
        {
            "apiVersion": "ostiary/v1",
            "organization": {"name": "default"},
            "users": [{"username": "admin", "password": "x"}],
            "roles": [{"name": "admin", "users": ["admin"]}],
        },
    )

    found = await export(sqlite_database, "default")

    assert found is not None
    assert found.document["roles"] == [{"name": "admin", "users": ["admin"]}]
    assert lines(await apply(sqlite_database, found.document)) == []
