"""User names: suffix, prefix, canonical form (RFC 8265 §3.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.identity import InvalidUserName, UserName

STORES = {"EXTERNAL": False, "CORP.EU": True}


def parse(text: str) -> tuple[str | None, str]:
    name = UserName.parse(text, "my_company", STORES)
    return name.store, name.canonical()


@pytest.mark.parametrize(
    ("typed", "store", "name"),
    [
        ("bob", None, "bob"),
        ("bob@my_company", None, "bob"),
        ("BOB@MY_COMPANY", None, "bob"),
        ("john@example.com", None, "john@example.com"),
        ("john@example.com@my_company", None, "john@example.com"),
        ("john@other_company", None, "john@other_company"),
        ("my_company", None, "my_company"),
        ("EXTERNAL/bob@my_company@my_company", "EXTERNAL", "bob@my_company"),
        ("EXTERNAL/testuser", "EXTERNAL", "testuser"),
        ("external/TestUser@my_company", "EXTERNAL", "testuser"),
        ("PRIMARY/bob", "PRIMARY", "bob"),
        ("primary/bob@my_company", "PRIMARY", "bob"),
        ("corp.eu/bob", "CORP.EU", "bob"),
        ("ｂｏｂ", None, "bob"),
        ("bob＠my_company", None, "bob"),
        ("ＥＸＴＥＲＮＡＬ／bob", "EXTERNAL", "bob"),
        ("cafe\u0301", None, "caf\u00e9"),
        ("ÉCOLE", None, "école"),
        ("שלום@my_company", None, "שלום"),
        ("o'neil+x&y$z", None, "o'neil+x&y$z"),
    ],
)
def test_spellings_of_one_person_are_one_name(typed: str, store: str | None, name: str):
    assert parse(typed) == (store, name)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "@my_company",
        "bob@my_company@my_company",
        "PRIMARY/bob@My_Company@my_company",
        "EXTERNAL/",
        "EXTERNAL/@my_company",
        "/bob",
        "NOWHERE/bob",
        "EXTERNAL/a/b",
        "PRIMARY/EXTERNAL/bob",
        "bob smith",
        " bob",
        "bob ",
        "bob\x00",
        "bob\n",
        "a\u200db",
        "ﬁsh",
        "bob\u202e",
        "\ud800",
        "a" * 256,
        "a" * 513,
    ],
)
def test_what_cannot_be_a_name_is_refused(typed: str):
    with pytest.raises(InvalidUserName):
        parse(typed)


def test_a_case_sensitive_store_gets_the_case_that_was_typed():
    name = UserName.parse("corp.eu/McCoy@my_company", "my_company", STORES)

    assert (name.canonical(case_sensitive=True), name.canonical()) == ("McCoy", "mccoy")


@pytest.mark.parametrize(
    ("typed", "display"),
    [
        ("bob", "bob@my_company"),
        ("PRIMARY/bob", "bob@my_company"),
        ("john@example.com", "john@example.com@my_company"),
        ("external/TESTUSER@my_company", "EXTERNAL/testuser@my_company"),
    ],
)
def test_a_person_is_written_with_store_and_organization(typed: str, display: str):
    assert UserName.parse(typed, "my_company", STORES).display() == display


names = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("@/ABCdefßıİＡ／＠.my_company"), max_size=40
)


@given(names)
def test_a_displayed_name_reads_back_as_the_same_name(text: str):
    try:
        name = UserName.parse(text, "my_company", STORES)
    except InvalidUserName:
        return

    again = UserName.parse(name.display(), "my_company", STORES)

    assert (again.canonical(), again.store or "PRIMARY") == (name.canonical(), name.store or "PRIMARY")


@given(names)
def test_a_canonical_name_of_primary_reads_as_itself(text: str):
    """Attack: `bob@my_company` is made a user, and what is done to that user is done to `bob`."""
    try:
        name = UserName.parse(text, "my_company").canonical()
    except InvalidUserName:
        return

    assert UserName.parse(name, "my_company").canonical() == name


@given(names)
def test_a_name_never_holds_a_separator_and_says_its_organization_last(text: str):
    try:
        name = UserName.parse(text, "my_company", STORES)
    except InvalidUserName:
        return

    assert "/" not in name.canonical()
    assert name.display().rpartition("@")[2] == "my_company"


@given(names)
def test_case_width_and_suffix_change_nothing(text: str):
    try:
        name = UserName.parse(text, "my_company", STORES)
    except InvalidUserName:
        return

    suffixed = UserName.parse(f"{text}@my_company" if not _has_suffix(text) else text, "my_company", STORES)

    assert suffixed.canonical() == name.canonical()


def _has_suffix(text: str) -> bool:
    return text.replace("＠", "@").rpartition("@")[2].lower() == "my_company"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("admin", "аdmin"),
        ("strasse", "straße"),
        ("irem", "ırem"),
        ("irem", "İrem"),
        ("jose", "josé"),
    ],
)
def test_names_that_look_alike_are_never_one_person(one: str, other: str):
    """Security cases #8: folding that reaches further than RFC 8265 gives a name to two people."""
    assert parse(one) != parse(other)


@pytest.mark.parametrize(
    ("one", "other"), [("josé", "jose\u0301"), ("ADMIN", "admin"), ("ａｄｍｉｎ", "admin")]
)
def test_spellings_that_mean_the_same_are_one_person(one: str, other: str):
    assert parse(one) == parse(other)
