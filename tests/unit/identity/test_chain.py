"""Who is asked about a login, in which order."""

from dataclasses import replace

import pytest

from ostiary.identity.chain import candidates, note_those_left_out
from ostiary.identity.model import StoreOptions, UserStoreSettings
from ostiary.identity.user_names import UserName
from ostiary.identity.user_stores.steps import watched
from ostiary.organizations import ChainPolicy

FIRST, ANY = ChainPolicy.FIRST_KNOWN, ChainPolicy.ANY


def a_store(
    name: str, accepts: str | None = None, case_sensitive: bool = False, enabled: bool = True
) -> UserStoreSettings:
    options = StoreOptions(accepts=accepts, case_sensitive=case_sensitive, enabled=enabled)
    return UserStoreSettings(name, "org", name, "rest", 0, 1, {"url": "https://x.example"}, options)


CHAIN = (
    a_store("EXTERNAL"),
    a_store("LEGACY", accepts="*@Legacy.example"),
    a_store("CASE", case_sensitive=True),
)


ALL_THREE = ("EXTERNAL:a", "LEGACY:a", "CASE:A")


@pytest.mark.parametrize(
    ("typed", "policy", "primary_knows", "asked"),
    [
        ("bob", FIRST, True, ["PRIMARY:bob"]),
        ("bob", ANY, True, ["PRIMARY:bob", "EXTERNAL:bob", "CASE:bob"]),
        ("bob", FIRST, False, ["EXTERNAL:bob", "CASE:bob"]),
        ("bob", ANY, False, ["EXTERNAL:bob", "CASE:bob"]),
        ("A@legacy.example", FIRST, False, [f"{x}@legacy.example" for x in ALL_THREE]),
        ("PRIMARY/bob", FIRST, False, ["PRIMARY:bob"]),
        ("PRIMARY/bob", ANY, True, ["PRIMARY:bob"]),
        ("EXTERNAL/bob", FIRST, True, ["EXTERNAL:bob"]),
        ("EXTERNAL/bob", ANY, True, ["EXTERNAL:bob"]),
        ("LEGACY/bob", FIRST, True, []),
        ("CASE/Bob", FIRST, True, ["CASE:Bob"]),
    ],
)  # fmt: skip
def test_the_name_and_the_policy_say_who_is_asked(
    typed: str, policy: ChainPolicy, primary_knows: bool, asked: list[str]
):
    name = UserName.parse(typed, "my_company", {store.name: store.case_sensitive for store in CHAIN})

    found = candidates(name, CHAIN, policy, primary_knows=primary_knows)

    assert [f"{candidate.store}:{candidate.username}" for candidate in found] == asked


@pytest.mark.parametrize(
    ("typed", "only", "policy", "primary_knows", "asked"),
    [
        ("bob", ["CASE", "EXTERNAL"], FIRST, True, ["CASE", "EXTERNAL"]),
        ("bob", ["CASE", "PRIMARY", "EXTERNAL"], FIRST, True, ["CASE", "PRIMARY"]),
        ("bob", ["CASE", "PRIMARY", "EXTERNAL"], ANY, True, ["CASE", "PRIMARY", "EXTERNAL"]),
        ("bob", ["CASE", "PRIMARY"], FIRST, False, ["CASE"]),
        ("bob", ["PRIMARY"], FIRST, False, ["PRIMARY"]),
        ("bob", ["LEGACY"], FIRST, True, []),
        ("bob", ["LEGACY", "PRIMARY"], FIRST, False, ["PRIMARY"]),
        ("bob", [], FIRST, True, []),
        ("bob", ["GONE"], ANY, True, []),
        ("EXTERNAL/bob", ["CASE", "PRIMARY"], FIRST, True, []),
        ("PRIMARY/bob", ["CASE"], ANY, True, []),
        ("EXTERNAL/bob", ["PRIMARY", "EXTERNAL"], FIRST, True, ["EXTERNAL"]),
    ],
)  # fmt: skip
def test_a_clients_own_list_says_who_is_asked_in_its_order(
    typed: str, only: list[str], policy: ChainPolicy, primary_knows: bool, asked: list[str]
):
    name = UserName.parse(typed, "my_company", {store.name: store.case_sensitive for store in CHAIN})

    found = candidates(name, CHAIN, policy, only, primary_knows=primary_knows)

    assert [candidate.store for candidate in found] == asked


def test_a_store_that_is_switched_off_is_asked_about_nobody():
    off = (a_store("OFF", enabled=False), a_store("EXTERNAL"))
    names = [UserName.parse(typed, "my_company", {"OFF": False}) for typed in ("bob", "OFF/bob")]

    found = [candidates(name, off, ANY, primary_knows=False) for name in names]

    assert [[candidate.store for candidate in each] for each in found] == [["EXTERNAL"], []]


def test_a_name_that_no_store_could_know_costs_a_hash_of_primary():
    name = UserName.parse("ghost", "my_company")

    assert [c.store for c in candidates(name, (), FIRST, primary_knows=False)] == ["PRIMARY"]


@pytest.mark.parametrize("typed", ["alice", "PARTNER/alice"])
@pytest.mark.parametrize("only", [None, ["PARTNER"], ["PRIMARY", "PARTNER"]])
def test_an_identity_provider_never_sees_a_password(typed: str, only: list[str] | None):
    partner = replace(a_store("PARTNER"), type="saml")
    name = UserName.parse(typed, "my_company", {"PARTNER": False})

    found = candidates(name, [partner], ANY, only, primary_knows=False)
    with watched() as steps:
        note_those_left_out(name, [partner], found, only)

    assert {candidate.store for candidate in found} <= {"PRIMARY"}
    told = [step.facts["why"] for step in steps.found if step.facts["store"] == "PARTNER"]
    assert told == ["it takes no passwords: its people come with an assertion"]
