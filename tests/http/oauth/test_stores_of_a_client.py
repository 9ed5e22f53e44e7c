"""A client that says which user stores its logins ask, and in which order."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.http.oauth.installation import Installation
from tests.http.oauth.test_clients_api import ADMIN, CLIENTS, REGISTRATION, register
from tests.http.oauth.test_outside_groups import PASSWORD as OUTSIDE
from tests.http.oauth.test_outside_groups import Directory
from tests.http.oauth.test_refresh import NOT_VALID
from tests.support.identity import PASSWORD

from ostiary.identity.tables import login_attempts
from ostiary.oauth.tables import clients

REFUSED = {
    "error": "invalid_grant",
    "error_description": "the user name or password is not right",
}


class Directories:
    """CORP and SHOP; `ann` is in both, and they are two people."""

    def __init__(self) -> None:
        self.corp, self.shop = Directory(), Directory()
        self.corp.people["ann"] = {"id": "1", "groups": []}
        self.shop.people["ann"] = {"id": "1", "groups": []}

    @property
    def asked(self) -> list[str]:
        """The stores that were shown a password, in order of their names."""
        return [name for name, one in (("CORP", self.corp), ("SHOP", self.shop)) if one.service.seen]


@pytest.fixture
async def outside(on_both: Installation) -> AsyncIterator[Directories]:
    both = Directories()
    for name, one in (("CORP", both.corp), ("SHOP", both.shop)):
        await one.service.start()
        await one.connect(on_both, name)
    yield both
    for one in (both.corp, both.shop):
        await one.service.stop()


async def log_in(installation: Installation, username: str = "ann", password: str = OUTSIDE) -> Any:
    return await installation.token(grant_type="password", username=username, password=password)


async def who(installation: Installation, answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return str((await installation.introspect(answer.json()["access_token"]))["username"])


@pytest.mark.parametrize(
    ("stores", "found", "asked"),
    [
        (None, "CORP/ann@my_company", ["CORP"]),
        (("SHOP", "CORP"), "SHOP/ann@my_company", ["SHOP"]),
        (("CORP", "PRIMARY"), "CORP/ann@my_company", ["CORP"]),
    ],
)
async def test_the_stores_of_a_client_are_asked_in_its_order(
    on_both: Installation,
    outside: Directories,
    stores: tuple[str, ...] | None,
    found: str,
    asked: list[str],
):
    await on_both.a_client(user_stores=stores)

    answer = await log_in(on_both)

    assert (await who(on_both, answer), outside.asked) == (found, asked)


async def test_a_store_that_a_client_puts_before_primary_decides_about_a_namesake(
    on_both: Installation, outside: Directories
):
    """With `first_known` a store that knows the user decides; PRIMARY's own password is then wrong."""
    await on_both.a_user("ann")
    await on_both.a_client(user_stores=("CORP", "PRIMARY"))

    answers = [await log_in(on_both), await log_in(on_both, "PRIMARY/ann", PASSWORD)]

    names = [await who(on_both, answer) for answer in answers]
    assert names == ["CORP/ann@my_company", "ann@my_company"]


async def test_a_store_that_a_client_does_not_name_never_sees_a_password(
    on_both: Installation, outside: Directories
):
    await on_both.a_client(user_stores=("PRIMARY",))

    answers = [await log_in(on_both, name) for name in ("ann", "ghost", "CORP/ann", "shop/ann")]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(400, REFUSED)] * 4
    assert outside.asked == []


async def test_users_of_primary_do_not_log_in_at_a_client_without_primary(
    on_both: Installation, outside: Directories
):
    await on_both.a_user("bob")
    await on_both.a_client(user_stores=("CORP",))

    answers = [await log_in(on_both, name, PASSWORD) for name in ("bob", "PRIMARY/bob")]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(400, REFUSED)] * 2


async def test_guessing_through_a_client_that_does_not_ask_a_store_locks_nobody_there(
    on_both: Installation, outside: Directories
):
    """A client is no lever against users of stores that it has nothing to do with."""
    await on_both.a_client(user_stores=("PRIMARY",))
    await on_both.a_client("other")

    for _ in range(30):
        await log_in(on_both, "CORP/ann", "wrong")

    counted = await on_both.database.read(lambda c: c.execute(select(login_attempts)).all())
    answer = await on_both.token("other", grant_type="password", username="ann", password=OUTSIDE)
    assert (counted, answer.status_code) == ([], 200)


async def test_failures_are_counted_together_whatever_the_order_of_a_client(
    on_both: Installation, outside: Directories
):
    """One counter for each identity: another client, with a list of its own, gives no more guesses."""
    for number in range(12):
        await on_both.a_client(f"client-{number}", user_stores=("CORP", "PRIMARY")[: 1 + number % 2])
        for _ in range(5):
            await on_both.token(
                f"client-{number}", grant_type="password", username="CORP/ann", password="wrong"
            )
    await on_both.a_client("fresh")

    answer = await on_both.token("fresh", grant_type="password", username="CORP/ann", password=OUTSIDE)

    assert (answer.status_code, answer.json()) == (400, REFUSED)


async def test_taking_a_store_off_the_list_ends_the_tokens_of_its_users(
    on_both: Installation, outside: Directories
):
    """Access tokens that are out are refused; refresh goes on for users of the stores that stay."""
    await on_both.a_client(user_stores=("CORP", "SHOP"))
    await on_both.a_client("judge")
    of_corp, of_shop = [(await log_in(on_both, f"{store}/ann")).json() for store in ("CORP", "SHOP")]

    await on_both.a_client(user_stores=("SHOP",))

    active = [
        (await on_both.introspect(body["access_token"], by="judge"))["active"] for body in (of_corp, of_shop)
    ]
    refreshed = [await on_both.refresh(body["refresh_token"]) for body in (of_corp, of_shop)]
    assert active == [False, False]
    assert (refreshed[0].status_code, refreshed[0].json()) == (400, NOT_VALID)
    assert refreshed[1].status_code == 200


async def test_a_first_list_ends_what_the_whole_chain_gave(on_both: Installation, outside: Directories):
    await on_both.a_client()
    before = (await log_in(on_both)).json()

    await on_both.a_client(user_stores=("PRIMARY", "SHOP"))

    assert (await on_both.refresh(before["refresh_token"])).json() == NOT_VALID


async def test_another_order_or_a_longer_list_ends_nothing(on_both: Installation, outside: Directories):
    await on_both.a_client(user_stores=("CORP", "SHOP"))
    before = (await log_in(on_both)).json()

    await on_both.a_client(user_stores=("PRIMARY", "SHOP", "CORP"))

    assert (await on_both.introspect(before["access_token"]))["active"]
    assert (await on_both.refresh(before["refresh_token"])).status_code == 200


async def test_an_empty_list_asks_nobody(on_both: Installation, outside: Directories):
    """It cannot be said; were it ever kept, it would not open the chain."""
    await on_both.a_user("bob")
    await on_both.a_client()
    await on_both.database.write(lambda c: c.execute(update(clients).values(user_stores=[])))

    answers = [await log_in(on_both), await log_in(on_both, "bob", PASSWORD)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(400, REFUSED)] * 2


async def test_a_store_that_is_gone_is_asked_through_nobodys_list(
    on_both: Installation, outside: Directories
):
    await on_both.a_client()
    await on_both.database.write(lambda c: c.execute(update(clients).values(user_stores=["GONE"])))

    assert (await log_in(on_both)).json() == REFUSED


async def test_the_list_is_told_as_it_was_said(on_both: Installation, outside: Directories):
    stores = ["SHOP", "PRIMARY"]
    made = await register(on_both, **REGISTRATION, user_stores=stores)

    read = await on_both.http.get(f"{CLIENTS}/mobile", headers=ADMIN)

    assert (made.status_code, made.json()["user_stores"], read.json()["user_stores"]) == (201, stores, stores)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], "at least one store, or none of this key at all: then the organization's chain is asked"),
        (["CORP", "CORP"], "each store once"),
        (["CROP"], "user stores there are: PRIMARY, CORP, SHOP"),
        (["corp"], "user stores there are: PRIMARY, CORP, SHOP"),
    ],
)
async def test_a_list_that_cannot_be_is_refused(
    on_both: Installation, outside: Directories, said: list[str], expected: str
):
    answer = await register(on_both, **REGISTRATION, user_stores=said)

    assert (answer.status_code, answer.json()["description"]) == (400, f"user_stores: {expected}")


@pytest.mark.parametrize("said", ["CORP", {"CORP": 1}, [["CORP"]], [None], ["\x00"], ["X"] * 5000])
async def test_a_list_of_something_else_is_a_mistake_of_the_caller(
    on_both: Installation, outside: Directories, said: Any
):
    body = json.dumps({**REGISTRATION, "user_stores": said})

    answer = await on_both.http.post(
        CLIENTS, content=body, headers={**ADMIN, "Content-Type": "application/json"}
    )

    assert answer.status_code in (400, 422)
