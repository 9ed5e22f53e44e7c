"""What a client is told about a body that is wrong: the field, and what to do about it."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ostiary.app.answers import describe


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    tags: list[str] = Field(default_factory=list, max_length=2)


def told(body: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        Body.model_validate(body)
    return describe(refused.value.errors())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"name": "x", "colour": "red"}, "colour: there is no such member"),
        ({}, "name: it is missing"),
        ({"name": 7}, "name: Input should be a valid string"),
        ({"name": 7, "colour": 1}, "name: Input should be a valid string; colour: there is no such member"),
    ],
)
def test_a_wrong_member_is_named_and_never_repeated(body: dict[str, Any], says: str) -> None:
    assert told(body) == says


def test_text_that_is_no_json_is_said_to_be_none_and_where_it_ends_to_be() -> None:
    error = {
        "type": "json_invalid",
        "loc": ("body", 14),
        "msg": "JSON decode error",
        "ctx": {"error": "Expecting ',' delimiter"},
    }

    assert describe([error]) == "the body is not JSON: look at character 15"
