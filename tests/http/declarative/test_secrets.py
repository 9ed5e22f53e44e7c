"""Secrets of organization files: nothing rotated, nothing sent elsewhere, nothing missing."""

from typing import Any

from tests.http.declarative.files import (
    apply,
    details,
    lines,
    refusals,
    secrets,
    the_example,
)
from tests.support.certificates import Authority

from ostiary.declarative import Detail
from ostiary.foundation.certificates import Purpose
from ostiary.foundation.database import Database

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("gateway", purpose=Purpose.CLIENT)


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


def with_a_client_certificate(*addresses: str, key: object) -> dict[str, Any]:
    """The example whose first API proves itself to its backend."""
    content = the_example()
    content["apis"][0]["backend"] = {
        "production": list(addresses),
        "ca": AUTHORITY.ca,
        "client_certificate": {"certificate": CERTIFICATE, "key": key},
    }
    return content


async def test_the_key_of_a_client_certificate_stays_while_its_addresses_do(sqlite_database: Database):
    await apply(sqlite_database, with_a_client_certificate("https://orders.example", key=KEY))

    for key in (KEY, {"unchanged": True}):
        content = with_a_client_certificate("https://orders.example", key=key)
        assert lines(await apply(sqlite_database, content)) == []


async def test_a_kept_key_is_not_taken_to_another_address(sqlite_database: Database):
    await apply(sqlite_database, with_a_client_certificate("https://orders.example", key=KEY))

    elsewhere = with_a_client_certificate("https://evil.example", key={"unchanged": True})

    assert await refusals(sqlite_database, elsewhere) == [
        "documents[0].apis[0].backend.client_certificate.key: found none, "
        "expected the key (PEM): none is kept for a new or changed address"
    ]
    moved = await apply(sqlite_database, with_a_client_certificate("https://new.example", key=KEY))
    assert lines(moved) == ["~ api Orders 1.0.0"]
