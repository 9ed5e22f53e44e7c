"""YAML with positions: what is read, where it stands, and what is refused."""

import itertools
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.declarative import Complaint, Refused, read_documents
from ostiary.declarative.documents import MAX_ALIASES, MAX_BYTES, MAX_DEPTH


def the_data(text: str) -> object:
    """The content of a file with one document."""
    (document,) = read_documents(text, "f.yaml")
    return document.data


def the_complaints(text: str) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(Refused) as refusal:
        read_documents(text, "f.yaml")
    return [str(complaint) for complaint in refusal.value.complaints]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("1", 1),
        ("-12", -12),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("[]", []),
        ("{}", {}),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2027-06-30", "2027-06-30"),
        ("1.0.0", "1.0.0"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("0x10", "0x10"),
        ("99999999999999999999", "99999999999999999999"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("=", "="),
    ],
)
def test_plain_words_mean_what_they_mean_in_yaml_1_2(text: str, data: object):
    if data is None:
        assert the_data(f"a: {text}") == {"a": None}
    else:
        assert the_data(f"a: {text}") == {"a": data}


def test_every_key_and_value_knows_its_place():
    (document,) = read_documents("a:\n  - b: 1\n    c: [x, y]\n", "f.yaml")
    assert document.keys == {("a",): (1, 1), ("a", 0, "b"): (2, 5), ("a", 0, "c"): (3, 5)}
    assert document.values[("a", 0, "c", 1)] == (3, 12)
    assert str(document.place(Complaint(("a", 0, "missing"), "nothing", "it"))) == (
        "f.yaml:2:5: a[0].missing: found nothing, expected it"
    )


def test_several_documents_are_read_and_empty_ones_are_not_there():
    assert [d.data for d in read_documents("---\na: 1\n---\n---\nb: 2\n...\n", "f")] == [{"a": 1}, {"b": 2}]
    assert read_documents("# nothing\n", "f") == []


def test_aliases_are_what_they_point_to():
    assert the_data("a: &x [1]\nb: *x") == {"a": [1], "b": [1]}


def test_every_duplicate_key_is_complained_about():
    assert the_complaints("a: 1\nb: {c: 1, c: 2}\na: 2\n") == [
        "f.yaml:2:11: b.c: found the key a second time, expected it once (it is in line 2 too)",
        "f.yaml:3:1: a: found the key a second time, expected it once (it is in line 1 too)",
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: [1", "f.yaml:2:1: found a syntax error, expected valid YAML"),
        ("a: 'x", "f.yaml:1:6: found a syntax error"),
        ("a:\n\t- b", "f.yaml:2:1: found a syntax error"),
        (
            "a: !!python/object:os.system x",
            "f.yaml:1:4: a: found the tag tag:yaml.org,2002:python/object:os.system",
        ),
        ("a: !env X", "f.yaml:1:4: a: found the tag !env"),
        ("a: !x {}", "f.yaml:1:4: a: found the tag !x"),
        ("? [a]\n: b", "f.yaml:1:3: found a key that is not text"),
        ("a: *nope", "f.yaml:1:4: a: found *nope"),
        ("a: &x [*x]", "f.yaml:1:8: a[0]: found *x, which refers to itself"),
        ("a: \x00", "f.yaml"),
        ("a: \x07", "f.yaml"),
        ("a: \ud800", "f.yaml"),
        ("[" * 100_000, f"f.yaml:1:{MAX_DEPTH + 2}"),
        ("{a: " * 3_000, "f.yaml:1:"),
        ("a: &x 1\nb: [" + "*x, " * (MAX_ALIASES + 1) + "]", "f.yaml:2:"),
        ("x" * (MAX_BYTES + 1), "f.yaml: found a larger file"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_its_place(text: str, start: str):
    assert the_complaints(text)[0].startswith(start)


def test_a_bomb_of_aliases_is_refused_before_it_grows():
    """Billion laughs: nine lines that mean a thousand million values."""
    names = "abcdefghi"
    bomb = f"a: &a [{', '.join(['lol'] * 10)}]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in itertools.pairwise(names)
    )
    assert "found more content" in the_complaints(bomb)[0]


def test_a_merge_key_is_a_key_like_any_other():
    """Whoever writes `<<` is told by the schema that it is unknown."""
    assert the_data("<<: {a: 1}") == {"<<": {"a": 1}}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str):
    with suppress(Refused):
        assert isinstance(read_documents(text, "f"), list)


_TEXT = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs",))
)  # YAML knows no surrogate pairs
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | _TEXT,
    # A key on one line has at most 1,024 characters in YAML (1.2.2 §7.4.2), here up to six for each.
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT.filter(lambda key: len(key) < 170), inner),
    max_leaves=10,
)


@given(_JSON)
def test_what_json_says_yaml_says_too(data: object):
    text = json.dumps({"data": data})
    assert the_data(text) == {"data": data}
