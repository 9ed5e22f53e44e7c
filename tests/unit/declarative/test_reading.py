"""Every rule of the schema, by what a person is told: FILE:LINE:COLUMN, found, expected."""

from pathlib import Path

import pytest
from tests.http.declarative.files import EXAMPLE, RESOLVER, the_example

from ostiary.declarative import (
    Refused,
    Resolver,
    check_file,
    plain_secrets,
    read_documents,
    read_file,
    to_wire,
)


def complaints_of(text: str, resolver: Resolver = RESOLVER) -> list[str]:
    """What a person is told about a file."""
    (document,) = read_documents(text, "org.yaml")
    with pytest.raises(Refused) as refusal:
        read_file(document, resolver)
    return [str(complaint) for complaint in refusal.value.complaints]


def a_file_with(lines: str) -> str:
    """A minimal organization, and these lines after it from line 3 on."""
    return f"apiVersion: ostiary/v1\norganization: {{name: my_company}}\n{lines}\n"


def test_the_example_is_right():
    (document,) = read_documents(EXAMPLE, "example.yaml")
    file = read_file(document, RESOLVER)
    assert file.organization.name == "my_company"
    assert plain_secrets(document, file) == []


def test_what_is_sent_is_what_was_read():
    file = check_file(the_example())
    assert check_file(to_wire(file)) == file
    assert to_wire(file)["users"][0]["password"] == "bob-pass"


def test_a_secret_is_shown_only_where_it_is_sent():
    file = check_file(the_example())
    for text in (repr(file), str(file), file.model_dump_json()):
        assert "bob-pass" not in text
        assert "mobile-secret" not in text


def test_plain_secrets_are_named_by_their_place():
    text = a_file_with("users:\n  - {username: bob, password: hunter2}")
    (document,) = read_documents(text, "org.yaml")
    assert plain_secrets(document, read_file(document, RESOLVER)) == ["org.yaml:4:31: users[0].password"]


MISTAKES = [
    block.split("\n! ") for block in (Path(__file__).parent / "mistakes.txt").read_text().split("\n\n")
]


@pytest.mark.parametrize("block", MISTAKES, ids=[block[0] for block in MISTAKES])
def test_a_mistake_is_named_with_its_place_what_was_found_and_what_was_expected(block: list[str]):
    lines, *expected = (part.strip("\n") for part in block)
    assert complaints_of(a_file_with(lines)) == [f"org.yaml:{complaint}" for complaint in expected]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file():
    text = "apiVersion: ostiary/v2\norganization: {name: My Company}\nusers: 5\nrols: []\n"
    assert [line.split(": ")[0] for line in complaints_of(text)] == [
        "org.yaml:1:13",
        "org.yaml:2:22",
        "org.yaml:3:8",
        "org.yaml:4:1",
    ]


def test_references_are_relative_to_the_file_and_lose_the_last_newline(tmp_path: Path):
    (tmp_path / "password").write_text("from a file\n")
    (tmp_path / "api.json").write_text('{"openapi": "3.1.0", "paths": {"/x": {"get": {}}}}')
    lines = "users: [{username: bob, password: {file: password}}]\n" + (
        "apis: [{name: O, context: /x, version: 1.0.0, openapi: api.json}]"
    )
    (document,) = read_documents(a_file_with(lines), "org.yaml")
    sent = to_wire(read_file(document, Resolver({}, tmp_path)))
    assert sent["users"][0]["password"] == "from a file"
    assert sent["apis"][0]["openapi"] == [{"method": "GET", "path": "/x", "scopes": [], "auth": "any"}]
    assert to_wire(check_file(sent)) == sent


def test_the_server_resolves_no_reference():
    """Otherwise a file could read the server's environment and disk."""
    for reference in ({"env": "PATH"}, {"file": "/etc/passwd"}):
        with pytest.raises(Refused, match="references are resolved before they are sent"):
            check_file(the_example() | {"users": [{"username": "bob", "password": reference}]})
    api = {"name": "O", "context": "/x", "version": "1.0.0", "openapi": "/etc/passwd"}
    with pytest.raises(Refused):
        check_file(the_example() | {"apis": [api]})


@pytest.mark.parametrize("value", ["a\x00b", "\ud800"])
def test_text_no_database_can_hold_is_refused_wherever_it_stands(value: str):
    for document in (
        the_example() | {"organization": {"name": "my_company", "display_name": value}},
        the_example() | {value: 1},
        the_example() | {"users": [{"username": "bob", "claims": {"email": value}}]},
    ):
        with pytest.raises(Refused, match="NUL or half a character"):
            check_file(document)


def test_a_mistaken_secret_is_not_shown():
    lines = """users: [{username: bob, password: 12345678}]
applications: [{name: M, owner: b, keys: {production: hunter2}}]"""
    assert not any("12345678" in line or "hunter2" in line for line in complaints_of(a_file_with(lines)))
