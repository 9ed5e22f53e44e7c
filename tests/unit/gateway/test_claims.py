"""Which claims an API is told: those it asks for, whatever they are called, within the size of a header."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.apim import DIALECT, parse_claim
from ostiary.apim.assertion import check_claims
from ostiary.apim.errors import Invalid
from ostiary.gateway.claims import chosen
from ostiary.gateway.node.assertion import told_of
from ostiary.gateway.told import LARGEST, ToldClaims


def test_what_is_asked_for_and_known_is_told_and_nothing_else() -> None:
    known = {"email": "bob@example.com", "family_name": "B", "salary": "9"}

    told = chosen(("family_name", "email", "department"), known)

    assert told == ({"lastname": "B", "emailaddress": "bob@example.com"}, ())


@pytest.mark.parametrize("asked", ["email", "emailaddress"])
@pytest.mark.parametrize("name", ["email", "emailaddress", f"{DIALECT}emailaddress"])
def test_a_claim_is_found_by_each_of_its_names(asked: str, name: str) -> None:
    assert chosen((asked,), {name: "bob@example.com"}) == ({"emailaddress": "bob@example.com"}, ())


def test_of_two_names_of_a_claim_the_one_asked_for_counts() -> None:
    known = {"email": "one@example.com", "emailaddress": "two@example.com"}

    assert chosen(("emailaddress",), known) == ({"emailaddress": "two@example.com"}, ())


def test_where_nothing_is_known_yet_that_is_said() -> None:
    """A user who has none of the claims is another thing than one whose store was never asked."""
    assert chosen(("email",), {}) == ({}, ())
    assert chosen(("email",), None) == ({}, ("emailaddress",))


def test_what_does_not_fit_is_left_out_by_name_and_what_fits_after_it_is_told() -> None:
    known = {"first": "a" * 1_000, "second": "b" * 1_000, "third": "é" * 1_000, "fourth": "d"}

    told, left_out = chosen(("first", "second", "third", "fourth"), known)

    assert (list(told), left_out) == (["first", "second", "fourth"], ("third",))


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_.-]{0,63}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=1_000),
        max_size=20,
    )
)
def test_all_that_is_told_fits_in_its_part_of_a_header(known: dict[str, str]) -> None:
    told, left_out = chosen(tuple(known), known)

    text = json.dumps(told_of(ToldClaims(1, told, left_out)), ensure_ascii=False, separators=(",", ":"))
    assert len(text.encode()) <= LARGEST + len('"claims_left_out":[]') + 2
    assert len(told) + len(left_out) == len(known)


@pytest.mark.parametrize("name", ["email", "given_name", "department", "a", "x.y-z_9", "role", "A" * 64])
def test_a_claim_of_users_may_be_asked_for(name: str) -> None:
    assert parse_claim(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("iss", "aud", "exp", "ISS", "client_id", "scope", "groups", "username"),
        *("enduser", "ENDUSER", "applicationUUId", "applicationuuid", "tier", "enduserTenantId"),
        *("", " email", "email ", "a\nb", "é", "_a", "9a", "a:b", "http://wso2.org/claims/email", "A" * 65),
    ],
)
def test_no_name_of_the_assertion_s_own_and_nothing_odd_may_be_asked_for(name: str) -> None:
    with pytest.raises(Invalid, match=r"assertion\.claims"):
        parse_claim(name)


def test_a_claim_is_asked_for_once_under_all_its_names() -> None:
    with pytest.raises(Invalid, match="email is the same"):
        check_claims(("email", "emailaddress"))
