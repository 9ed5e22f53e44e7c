"""Who is asked about a login, in which order."""

from datetime import timedelta

import pytest

from ostiary.identity.chain import candidates
from ostiary.identity.model import UserStoreSettings
from ostiary.identity.user_names import UserName
from ostiary.organizations import ChainPolicy

FIRST, ANY = ChainPolicy.FIRST_KNOWN, ChainPolicy.ANY


def a_store(name: str, accepts: str | None = None, case_sensitive: bool = False) -> UserStoreSettings:
    return UserStoreSettings(
        name, "org", name, "rest", 0, 1, "https://x.example", None, None, timedelta(seconds=1), 5, accepts,
        case_sensitive,
    )  # fmt: skip


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


def test_a_name_that_no_store_could_know_costs_a_hash_of_primary():
    name = UserName.parse("ghost", "my_company")

    assert [c.store for c in candidates(name, (), FIRST, primary_knows=False)] == ["PRIMARY"]
