"""Filters, order and pages of SCIM lists: RFC 7644 §3.4.2, §3.4.3."""

from typing import Any

import pytest
from tests.http.scim.conftest import ERROR, SCIM

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


def names(answer: Any, attribute: str = "userName") -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one[attribute] for one in answer.json().get("Resources", ())]


@pytest.fixture
def people(scim: SCIM) -> dict[str, str]:
    """Users by name with their identifiers."""
    return {name: scim.user(name, externalId=f"ext-{name}")["id"] for name in ("cid", "ann", "bob")}


FOUND = (
    ("", ["ann", "bob", "cid"]),
    ("sortBy=userName&sortOrder=descending", ["cid", "bob", "ann"]),
    ("count=1", ["ann"]),
    ("startIndex=2&count=1", ["bob"]),
    ("startIndex=9", []),
    ("startIndex=-3&count=2", ["ann", "bob"]),
    ("count=0", []),
    ("count=-1", []),
    ('filter=userName eq "bob"', ["bob"]),
    ('filter=USERNAME EQ "BOB@acme"', ["bob"]),
    ('filter=userName eq "PRIMARY/bob"', ["bob"]),
    ('filter=userName eq "EXTERNAL/bob"', []),
    ('filter=userName eq "b b"', []),
    ('filter=userName sw "B"', ["bob"]),
    ('filter=userName sw "%25"', []),
    ('filter=externalId eq "ext-ann"', ["ann"]),
    ('filter=externalId eq "EXT-ANN"', []),
    ('filter=userName eq "bob" and externalId eq "ext-ann"', []),
    ('filter=userName eq "bob" and externalId eq "ext-bob"', ["bob"]),
    ('filter=urn:ietf:params:scim:schemas:core:2.0:User:userName eq "bob"', ["bob"]),
)


def test_users_are_found(scim: SCIM, people: dict[str, str]):
    for query, found in FOUND:
        assert names(scim.ask("GET", f"/Users?{query}")) == found, query


def test_a_list_says_how_many_there_are(scim: SCIM, people: dict[str, str]):
    answer = scim.ask("GET", "/Users?startIndex=2&count=1").json()

    assert {name: value for name, value in answer.items() if name != "Resources"} == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 3,
        "startIndex": 2,
        "itemsPerPage": 1,
    }


def test_a_user_is_found_by_its_identifier(scim: SCIM, people: dict[str, str]):
    assert names(scim.ask("GET", f'/Users?filter=id eq "{people["bob"]}"')) == ["bob"]


def test_a_search_can_be_a_body(scim: SCIM, people: dict[str, str]):
    """RFC 7644 §3.4.3."""
    body = {"schemas": [SEARCH], "filter": 'userName eq "bob"', "attributes": ["userName"]}

    found = scim.ask("POST", "/Users/.search", body).json()["Resources"]

    assert [set(one) for one in found] == [{"schemas", "id", "userName"}]


UNSERVED = (
    'userName co "o"',
    'userName ne "bob"',
    'userName eq "bob" or userName eq "ann"',
    'not (userName eq "bob")',
    "userName pr",
    'emails[type eq "work"]',
    'title eq "x"',
    "active eq true",
    'id eq "\x00"',
    "userName eq 7",
    'nothing eq "x"',
    'password eq "x"',
    "userName",
    "((((",
    '"',
    'userName eq "' + "x" * 5_000 + '"',
)


def test_a_filter_that_no_index_answers_is_refused(scim: SCIM):
    """RFC 7644 §3.12: invalidFilter."""
    for filter_ in UNSERVED:
        asked = scim.ask("GET", "/Users", params={"filter": filter_})
        searched = scim.ask("POST", "/Users/.search", {"schemas": [SEARCH], "filter": filter_})
        for answer in (asked, searched):
            assert (answer.status_code, answer.json()["schemas"]) == (400, [ERROR]), filter_[:60]


def test_a_deeply_nested_filter_costs_no_stack(scim: SCIM):
    nested = "(" * 20_000 + 'userName eq "x"' + ")" * 20_000

    answer = scim.ask("POST", "/Users/.search", {"schemas": [SEARCH], "filter": nested})

    assert answer.status_code in (200, 400), answer.text


ODD = (
"count=x", "startIndex=x", "sortBy=title", "sortBy=nothing", "sortOrder=sideways", "sortBy=emails.value",
     "attributes=a[b", "count=99999999999999999999999", "startIndex=99999999999999999999999", "cursor=abc",
)  # fmt: skip


def test_an_odd_question_is_refused_or_understood(scim: SCIM, people: dict[str, str]):
    for query in ODD:
        answer = scim.ask("GET", f"/Users?{query}")
        assert answer.status_code in (200, 400, 501), answer.text


def test_a_page_has_a_largest_size(scim: SCIM):
    for number in range(3):
        scim.user(f"user-{number}")

    answer = scim.ask("GET", "/Users?count=1000000000")

    assert answer.json()["itemsPerPage"] == 3
    assert scim.ask("GET", "/ServiceProviderConfig").json()["filter"]["maxResults"] == 200


def test_roles_are_found(scim: SCIM, people: dict[str, str]):
    first = scim.group("staff", people["bob"], externalId="g-1")
    scim.group("Guests")

    for query, found in (
        ("", ["Guests", "staff"]),
        ("sortBy=displayName&sortOrder=descending", ["staff", "Guests"]),
        ('filter=displayName eq "staff"', ["staff"]),
        ('filter=displayName eq "Staff"', []),
        ('filter=displayName sw "st"', ["staff"]),
        ('filter=externalId eq "g-1"', ["staff"]),
        (f'filter=members eq "{people["bob"]}"', ["staff"]),
        (f'filter=members.value eq "{people["ann"]}"', []),
        (f'filter=id eq "{first["id"]}" and members eq "{people["bob"]}"', ["staff"]),
        ('filter=members eq "nobody"', []),
    ):
        assert names(scim.ask("GET", f"/Groups?{query}"), "displayName") == found, query


def test_several_types_at_once_are_not_searched(scim: SCIM):
    """RFC 7644 §3.4.2.1, §3.12."""
    assert scim.ask("POST", "/.search", {"schemas": [SEARCH]}).status_code == 501
