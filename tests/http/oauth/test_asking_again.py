"""A refresh asks the user's store again, without a password and by the immutable id."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.http.oauth.installation import NOON, Installation
from tests.http.oauth.test_refresh import NOT_VALID
from tests.support.http_service import Answer, HTTPService, Seen
from tests.support.identity import BOX, PATIENT

from ostiary.identity import StoreOptions, UserStoreSpec, put_user_store, read_user_store_settings
from ostiary.permissions import a_group

PASSWORD = "its-password"
WRITE = "orders:write"
FIVE_MINUTES = timedelta(minutes=5)


class Directory:
    """An outside store that answers about ids too. `people` by name; all have one password."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.is_down = False
        self.service = HTTPService(self._answer)

    @property
    def asked_again(self) -> list[str]:
        """Whom it was asked about without a password."""
        return [request.target for request in self.service.seen if request.method == "GET"]

    def _answer(self, request: Seen) -> Answer:
        if self.is_down:
            return 500, b""
        if request.method == "GET":
            wanted = urlsplit(request.target).path.rpartition("/")[2]
            found = next((one for one in self.people.values() if one["id"] == wanted), None)
            return (404, b"") if found is None else (200, found)
        said = json.loads(request.body)
        person = self.people.get(said["user"])
        right = person is not None and said["secret"] == PASSWORD
        return (200, {"ok": True, **person}) if person and right else (200, {"ok": False})

    async def connect(
        self, installation: Installation, *, looks_up: bool = True, at: str = "", **options: Any
    ) -> None:
        """Make it a user store, or change what the store is. `at`: where else people are looked up."""
        told = {"groups": "groups", "name": "name", "claims": {"email": "mail"}}
        look_up = {"url": f"{at or self.service.url}/people/{{id}}", "active": "active", **told}
        settings = read_user_store_settings(
            "rest",
            {
                "url": self.service.url,
                "request": {"body": {"user": "{username}", "secret": "{password}"}},
                "response": {"accepted": "ok", "refused": "!ok", "id": "id", **told},
            }
            | ({"look_up": look_up} if looks_up else {}),
        )
        here = installation.organization.id
        spec = UserStoreSpec(here, "CORP", "rest", settings, StoreOptions(**{**PATIENT, **options}))
        await installation.database.write(lambda c: put_user_store(c, spec, BOX))


def a_person(id_: str, name: str, *groups: str) -> dict[str, Any]:
    return {"id": id_, "name": name, "groups": list(groups), "mail": f"{name}@x.example", "active": True}


@pytest.fixture
async def corp(on_both: Installation) -> AsyncIterator[Directory]:
    directory = Directory()
    directory.people["ann"] = a_person("1", "ann", "sales", "staff")
    await directory.service.start()
    await directory.connect(on_both)
    await on_both.a_client(refresh_token_lifetime=timedelta(days=60))
    await on_both.a_role("clerk", a_group("CORP/sales"))
    await on_both.a_scope(WRITE, roles=["clerk"])
    yield directory
    await directory.service.stop()


async def log_in(installation: Installation, username: str = "ann") -> dict[str, Any]:
    answer = await installation.token(
        grant_type="password", username=username, password=PASSWORD, scope=WRITE
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refresh_later(
    installation: Installation, body: dict[str, Any], later: timedelta = FIVE_MINUTES + timedelta(seconds=1)
) -> httpx2.Response:
    installation.clock.advance(later)
    return await installation.refresh(body["refresh_token"])


async def test_what_a_store_told_holds_for_five_minutes(on_both: Installation, corp: Directory):
    first = await log_in(on_both)

    second = await refresh_later(on_both, first, FIVE_MINUTES)
    asked_early = list(corp.asked_again)
    third = await refresh_later(on_both, second.json(), timedelta(seconds=1))

    assert (second.status_code, third.status_code, asked_early) == (200, 200, [])
    assert corp.asked_again == ["/people/1"]


async def test_no_password_is_there_to_be_sent(on_both: Installation, corp: Directory):
    first = await log_in(on_both)
    logged_in = len(corp.service.seen)

    await refresh_later(on_both, first)

    (asked,) = corp.service.seen[logged_in:]
    assert (asked.method, asked.body) == ("GET", b"")
    assert PASSWORD not in repr(asked.headers)


@pytest.mark.parametrize("what", ["deleted", "disabled"])
async def test_who_is_gone_or_disabled_gets_no_more_and_loses_what_is_out(
    on_both: Installation, corp: Directory, what: str
):
    """That the store lets the person in again later gives the old family nothing back."""
    first, other = await log_in(on_both), await log_in(on_both)
    person = corp.people["ann"]
    if what == "deleted":
        del corp.people["ann"]
    else:
        corp.people["ann"] = person | {"active": False}

    refused = await refresh_later(on_both, first)
    corp.people["ann"] = person
    again = await on_both.refresh(first["refresh_token"])

    active = [(await on_both.introspect(body["access_token"]))["active"] for body in (first, other)]
    assert (refused.status_code, refused.json(), again.json()) == (400, NOT_VALID, NOT_VALID)
    assert active == [False, False]
    assert (await log_in(on_both))["scope"] == WRITE


async def test_a_name_given_to_somebody_else_does_not_continue_the_old_family(
    on_both: Installation, corp: Directory
):
    first = await log_in(on_both)
    corp.people["ann"] = a_person("2", "ann", "sales")

    refused = await refresh_later(on_both, first)

    second = await log_in(on_both)
    told = await on_both.introspect(second["access_token"])
    assert refused.json() == NOT_VALID
    assert told["active"]
    assert not (await on_both.introspect(first["access_token"]))["active"]


async def test_leaving_a_group_takes_effect_at_the_next_refresh(on_both: Installation, corp: Directory):
    first = await log_in(on_both)
    corp.people["ann"]["groups"] = ["staff"]

    second = await refresh_later(on_both, first)

    active = [(await on_both.introspect(body["access_token"]))["active"] for body in (first, second.json())]
    assert (first["scope"], second.json()["scope"], active) == (WRITE, "default", [False, True])


async def test_a_group_that_is_new_widens_no_family(on_both: Installation, corp: Directory):
    corp.people["ann"]["groups"] = ["staff"]
    first = await log_in(on_both)
    corp.people["ann"]["groups"] = ["staff", "sales"]

    second = await refresh_later(on_both, first)

    assert (first["scope"], second.json()["scope"]) == ("default", "default")
    assert (await on_both.introspect(first["access_token"]))["active"]


async def test_somebody_who_is_renamed_stays_the_same_person(on_both: Installation, corp: Directory):
    first = await log_in(on_both)
    corp.people["anna"] = corp.people.pop("ann") | {"name": "anna"}

    second = (await refresh_later(on_both, first)).json()

    before, after = [await on_both.introspect(body["access_token"]) for body in (first, second)]
    assert (before["sub"], before["username"], after["username"]) == (
        after["sub"],
        "CORP/ann@my_company",
        "CORP/anna@my_company",
    )


async def test_a_store_that_can_be_asked_ends_refresh_at_no_time_of_its_own(
    on_both: Installation, corp: Directory
):
    first = await log_in(on_both)

    second = await refresh_later(on_both, first, timedelta(days=2))
    third = await refresh_later(on_both, second.json(), timedelta(days=2))

    assert (second.status_code, third.status_code) == (200, 200)


async def test_while_a_store_is_down_its_last_word_holds_for_twelve_hours(
    on_both: Installation, corp: Directory
):
    """Counted from the last time it said anything; never without end. It ends no family for good."""
    first = await log_in(on_both)
    second = (await refresh_later(on_both, first, timedelta(hours=20))).json()
    corp.is_down = True

    third = (await refresh_later(on_both, second, timedelta(hours=11, minutes=59))).json()
    refused = await refresh_later(on_both, third, timedelta(minutes=2))
    corp.is_down = False
    on_both.clock.advance(timedelta(minutes=1))
    last = await on_both.refresh(third["refresh_token"])

    assert (refused.json(), last.status_code) == (NOT_VALID, 200)


async def test_a_store_that_hangs_holds_a_refresh_up_for_its_deadline_and_soon_not_at_all(
    on_both: Installation, corp: Directory
):
    first = await log_in(on_both)
    asked: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: asked.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    await corp.connect(on_both, at=f"http://127.0.0.1:{port}", timeout_ms=50)
    on_both.clock.advance(timedelta(hours=1))

    answers = []
    for _ in range(12):
        answers.append(await on_both.refresh(first["refresh_token"]))
        first = answers[-1].json()

    for writer in asked:
        writer.close()
    silent.close()
    assert [answer.status_code for answer in answers] == [200] * 12
    assert len(asked) < 12  # the breaker leaves it alone after five


async def test_a_limit_of_the_stores_own_counts_from_the_password(on_both: Installation, corp: Directory):
    await corp.connect(on_both, reauthenticate_after_seconds=3600)
    first = await log_in(on_both)
    second = (await refresh_later(on_both, first, timedelta(minutes=59))).json()

    refused = await refresh_later(on_both, second, timedelta(minutes=2))

    assert refused.json() == NOT_VALID
    assert len(corp.asked_again) == 1  # whatever it would say, it is too late


async def test_a_store_says_how_long_what_it_told_holds(on_both: Installation, corp: Directory):
    await corp.connect(on_both, ask_again_after_seconds=0)
    body = await log_in(on_both)

    for _ in range(3):
        body = (await refresh_later(on_both, body, timedelta(seconds=1))).json()

    assert corp.asked_again == ["/people/1"] * 3


async def test_a_store_that_cannot_be_asked_is_not(on_both: Installation, corp: Directory):
    await corp.connect(on_both, looks_up=False)
    first = await log_in(on_both)

    second = await refresh_later(on_both, first, timedelta(hours=1))
    refused = await refresh_later(on_both, second.json(), timedelta(hours=12))

    assert (second.status_code, refused.json(), corp.asked_again) == (200, NOT_VALID, [])


async def test_many_refreshes_of_one_person_ask_once(on_both: Installation, corp: Directory):
    bodies = [await log_in(on_both) for _ in range(8)]
    on_both.clock.advance(timedelta(hours=1))

    answers = await asyncio.gather(*(on_both.refresh(body["refresh_token"]) for body in bodies))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert corp.asked_again == ["/people/1"]


async def test_a_token_that_is_nobodys_or_anothers_asks_nobody(on_both: Installation, corp: Directory):
    await on_both.a_client("other")
    first = await log_in(on_both)
    used = (await on_both.refresh(first["refresh_token"])).json()
    on_both.clock.advance(timedelta(hours=1))

    answers = [
        await on_both.refresh("made-up"),
        await on_both.refresh(used["refresh_token"], by="other"),
        await on_both.refresh(first["refresh_token"]),  # a replay
    ]

    assert [answer.json() for answer in answers] == [NOT_VALID] * 3
    assert corp.asked_again == []


async def test_a_lost_answer_is_given_again_to_nobody_who_is_gone(on_both: Installation, corp: Directory):
    """A confidential client's retry is a refresh like any other."""
    await corp.connect(on_both, ask_again_after_seconds=1)
    first = await log_in(on_both)
    await on_both.refresh(first["refresh_token"])
    del corp.people["ann"]

    retried = await refresh_later(on_both, first, timedelta(seconds=2))

    assert retried.json() == NOT_VALID


async def test_who_has_moved_is_known_here_and_the_old_store_is_not_asked(
    on_both: Installation, corp: Directory
):
    """As at a login: the kept password lets in whether the old store runs or not."""
    await corp.connect(on_both, migrate_until=NOON.date() + timedelta(days=30))
    first = await log_in(on_both)
    del corp.people["ann"]

    second = await refresh_later(on_both, first, timedelta(days=1))
    third = await refresh_later(on_both, second.json(), timedelta(days=30))

    assert (second.status_code, third.status_code, corp.asked_again) == (200, 200, [])


async def test_after_the_day_who_has_not_moved_gets_no_more(on_both: Installation, corp: Directory):
    """Nobody could log this person in any more, so nothing that began with a login goes on."""
    first = await log_in(on_both)
    await corp.connect(on_both, migrate_until=date(2031, 5, 1))

    before = await refresh_later(on_both, first, timedelta(hours=1))
    refused = await refresh_later(on_both, before.json(), timedelta(hours=11))

    assert (before.status_code, refused.json()) == (200, NOT_VALID)
    assert corp.asked_again == ["/people/1"]
