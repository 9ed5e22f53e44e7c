"""JSON is read in one way, or not at all."""

import json

import pytest

from ostiary.foundation.strict_json import AmbiguousJSON, read_json


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "NaN", "[-Infinity]", '{"a": 1e999}', "-1e999"])
def test_what_two_readers_may_take_for_two_things_is_refused(text: str):
    for form in (text, text.encode()):
        with pytest.raises(AmbiguousJSON):
            read_json(form)


@pytest.mark.parametrize(
    "body",
    ['{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-32-be"), b'"\xed\xa0\x80"', b'"\xff"'],
    ids=["UTF-16", "UTF-32", "a surrogate", "no text"],
)
def test_bytes_are_utf_8(body: bytes):
    """RFC 8259 §8.1: whoever looks at a body before us reads nothing else."""
    with pytest.raises(ValueError):
        read_json(body)


@pytest.mark.parametrize("value", [{"a": [1, 2.5, "\u00e9", None, True]}, 1e308, -0.0])
def test_everything_else_is_read(value: object):
    assert read_json(json.dumps(value)) == read_json(json.dumps(value, ensure_ascii=False).encode()) == value
