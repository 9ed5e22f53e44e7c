"""Who has a role, said at the role and at the user."""

from typing import Any

from ostiary.declarative import Complaint, check_file
from ostiary.declarative.members import role_wishes
from ostiary.declarative.names import Names
from ostiary.declarative.plan import Actual

NAMES = Names("my_company", {"EXTERNAL": False})


def members(
    *, roles: list[dict[str, Any]], users: list[dict[str, Any]], now: dict[str, list[str]]
) -> dict[str, list[str]]:
    """The users of every role that a file wishes to be something."""
    content = {
        "apiVersion": "ostiary/v1",
        "organization": {"name": "my_company"},
        "roles": roles,
        "users": users,
    }
    actual = {
        name: Actual({"permissions": [], "users": people, "groups": [], "clients": []})
        for name, people in now.items()
    }
    complaints: list[Complaint] = []
    wishes = role_wishes(check_file(content), actual, NAMES, complaints)
    assert complaints == []
    return {name: wish.picture["users"] for name, wish in wishes.items()}


def bob(*roles: str) -> dict[str, Any]:
    """The user bob with exactly these roles."""
    return {"username": "bob", "roles": list(roles)}


def test_both_sides_together_make_one_list():
    said = members(roles=[{"name": "r", "users": ["EXTERNAL/eve", "alice"]}], users=[bob("r")], now={})
    assert said == {"r": ["EXTERNAL/eve", "alice", "bob"]}


def test_a_user_that_no_longer_lists_a_role_loses_it():
    assert members(roles=[], users=[bob()], now={"r": ["alice", "bob"]}) == {"r": ["alice"]}


def test_a_role_that_no_longer_lists_a_user_takes_itself_away():
    assert members(roles=[{"name": "r", "users": []}], users=[], now={"r": ["bob"]}) == {"r": []}


def test_one_side_that_says_yes_is_enough():
    assert members(roles=[{"name": "r", "users": ["bob"]}], users=[bob()], now={}) == {"r": ["bob"]}


def test_what_neither_side_says_stays():
    assert members(roles=[{"name": "r"}], users=[{"username": "bob"}], now={"r": ["alice", "bob"]}) == {
        "r": ["alice", "bob"]
    }


def test_a_role_the_file_only_mentions_gets_the_user_and_keeps_the_others():
    assert members(roles=[], users=[bob("admin")], now={"admin": ["alice"]}) == {"admin": ["alice", "bob"]}


def test_spellings_of_one_name_are_one_member():
    assert members(
        roles=[{"name": "r", "users": ["BOB", "Bob@my_company", "external/EVE"]}], users=[], now={}
    ) == {"r": ["EXTERNAL/eve", "bob"]}


def test_a_role_nobody_speaks_of_is_not_wished_anything():
    assert members(roles=[], users=[bob("r")], now={"r": ["bob"], "other": ["alice"]}) == {"r": ["bob"]}
