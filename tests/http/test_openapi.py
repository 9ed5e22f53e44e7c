"""The OpenAPI document says of every operation what it answers; a fuzzer proves it (`tests/interop`)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from ostiary.cli import app

SILENT = {"200", "201", "204", "304"}
"""Statuses that may have no body."""


@pytest.fixture(scope="module")
def document() -> Any:
    said = CliRunner().invoke(app, ["openapi"], catch_exceptions=False)
    assert said.exit_code == 0
    return json.loads(said.stdout)


def operations(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((f"{method.upper()} {path}", operation) for method, operation in item.items())


def bodies(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Operation, status and content of each answer."""
    for name, operation in operations(document):
        for status, said in operation["responses"].items():
            refusal = said.get("$ref", "").rpartition("/")[2]
            answer = document["components"]["responses"][refusal] if refusal else said
            yield name, status, answer.get("content", {})


def test_every_body_has_a_schema_and_every_refusal_a_body(document: Any):
    untyped = [
        f"{name} {status}"
        for name, status, content in bodies(document)
        if not all(said["schema"] for said in content.values()) or (not content and status not in SILENT)
    ]

    assert untyped == []


def test_a_status_is_a_422_nowhere(document: Any):
    """What the framework would answer, and says of itself, is a 400 here."""
    assert [name for name, status, _ in bodies(document) if status == "422"] == []


def test_no_answer_is_an_object_of_anything(document: Any):
    """But the copy of what is held about a person, which is whatever the slices hold."""
    shapeless = {
        name.removeprefix("GET ")
        for name, _, content in bodies(document)
        for said in content.values()
        if said["schema"].get("type") == "object"
    }

    assert shapeless == {"/api/identity/v1/subjects/{subject_id}"}


def test_whoever_must_show_something_is_told_what(document: Any):
    schemes = set(document["components"]["securitySchemes"])
    named = {name for _, one in operations(document) for said in one["security"] for name in said}

    assert named == schemes == {"oauth2", "basic"}


def test_a_definition_has_one_name(document: Any):
    """Two types of one name are told apart by their modules, which nobody should have to read."""
    assert [name for name in document["components"]["schemas"] if "__" in name] == []
