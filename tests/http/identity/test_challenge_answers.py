"""/api/users/v1/{user-id}/challenges and /challenge-answers"""

import asyncio
import json

import httpx2
import pytest
from sqlalchemy import func, select
from tests.http.identity.conftest import an_app
from tests.support.challenges import BOTH, BOTH_ANSWERED, CITY, FOOD, PET, a_person, answer, turn_off, turn_on
from tests.support.identity import World, a_world, no_clients
from tests.support.login_service import LoginService

from ostiary.identity import delete_user, delete_user_store, put_user
from ostiary.identity.challenges import Person, Reason
from ostiary.identity.challenges.tables import challenge_answers, challenge_questions
from ostiary.identity.endpoints.challenge_documents import REFUSALS
from ostiary.identity.model import UserSpec

USERS = "http://test/t/my_company/api/users/v1"
NOBODY = "00000000-0000-4000-8000-000000000000"
QUESTION = b'{"challengeQuestion": {"question": "In which city were you born?"}'
ONE = "challenge-answers/challengeQuestion1"
TWO = "challenge-answers/challengeQuestion2"


@pytest.fixture
async def bob(world: World) -> Person:
    await turn_on(world)
    return await a_person(world)


@pytest.fixture
def url(bob: Person) -> str:
    return f"{USERS}/{bob.subject_id}"


async def rows(world: World) -> int:
    return await world.database.read(
        lambda c: c.execute(select(func.count()).select_from(challenge_answers)).scalar_one()
    )


def problem(answer: httpx2.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"code", "message", "description", "traceId"}
    return answer.status_code, body["code"]


def test_every_reason_has_its_answer_and_none_is_a_fault_of_ours():
    assert set(REFUSALS) == set(Reason)
    assert all(400 <= status < 500 for status, *_ in REFUSALS.values())


async def test_a_user_may_answer_two_sets_of_four_questions(api: httpx2.AsyncClient, url: str):
    said = await api.get(f"{url}/challenges")

    assert said.status_code == 200
    assert [one["questionSetId"] for one in said.json()] == ["challengeQuestion1", "challengeQuestion2"]
    assert [len(one["questions"]) for one in said.json()] == [4, 4]
    assert said.json()[0]["questions"][0] == {"locale": "en_US", **CITY}


@pytest.mark.parametrize(
    ("query", "sets"),
    [
        ({"limit": 1}, ["challengeQuestion1"]),
        ({"limit": 1, "offset": 1}, ["challengeQuestion2"]),
        ({"offset": 2}, []),
    ],
)
async def test_the_page_that_is_asked_for_is_answered(
    api: httpx2.AsyncClient, url: str, query: dict[str, int], sets: list[str]
):
    said = await api.get(f"{url}/challenges", params=query)

    assert [one["questionSetId"] for one in said.json()] == sets


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "offset=-1", f"offset={10**30}"])
async def test_a_page_out_of_bounds_is_refused(api: httpx2.AsyncClient, url: str, query: str):
    assert (await api.get(f"{url}/challenges?{query}")).status_code == 400


async def test_questions_are_asked_in_the_users_locale_where_there_are_any(
    api: httpx2.AsyncClient, world: World, url: str, bob: Person
):
    translated = {"questionId": "question1", "question": "Em que cidade você nasceu?", "locale": "pt-br"}
    body = [{"questionSetId": "challengeQuestion1", "questions": [translated]}]
    server = "http://test/t/my_company/api/server/v1/challenges"
    assert (await api.post(server, json=body)).status_code == 201
    spec = UserSpec(bob.organization_id, "bob", claims={"locale": "pt-BR"})
    await world.database.write(lambda c: put_user(c, spec, world.clock))

    first, second = (await api.get(f"{url}/challenges")).json()

    assert first["questions"] == [{**translated, "locale": "pt_BR"}]
    assert {question["locale"] for question in second["questions"]} == {"en_US"}
    assert problem(await api.post(f"{url}/{ONE}", json=answer(CITY, "Colombo"))) == (400, "CQM-18017")
    assert (await api.post(f"{url}/{ONE}", json=answer(translated, "Colombo"))).status_code == 201


async def test_answers_are_set_once_and_never_returned(api: httpx2.AsyncClient, url: str):
    made = await api.post(f"{url}/challenge-answers", json=BOTH)
    said = await api.get(f"{url}/challenge-answers")

    assert (made.status_code, made.content) == (201, b"")
    assert made.headers["location"] == f"{url}/challenge-answers".removeprefix("http://test")
    assert said.json() == BOTH_ANSWERED
    assert problem(await api.post(f"{url}/challenge-answers", json=BOTH)) == (409, "CQM-10012")


async def test_what_was_never_answered_cannot_be_changed(api: httpx2.AsyncClient, url: str):
    assert problem(await api.put(f"{url}/challenge-answers", json=BOTH)) == (404, "CQM-10013")
    assert problem(await api.delete(f"{url}/challenge-answers")) == (404, "CQM-10013")
    assert problem(await api.put(f"{url}/{ONE}", json=answer(CITY, "Kandy"))) == (404, "CQM-10015")
    assert problem(await api.delete(f"{url}/{ONE}")) == (404, "CQM-10015")
    assert (await api.get(f"{url}/challenge-answers")).json() == []


async def test_a_put_replaces_every_answer(api: httpx2.AsyncClient, url: str):
    await api.post(f"{url}/challenge-answers", json=BOTH)

    said = await api.put(
        f"{url}/challenge-answers", json=[answer(FOOD, "rice and curry", "challengeQuestion1")]
    )

    assert (said.status_code, said.content) == (200, b"")
    assert (await api.get(f"{url}/challenge-answers")).json() == [
        {"questionSetId": "challengeQuestion1", "question": FOOD["question"]}
    ]


async def test_one_set_is_answered_changed_and_forgotten(api: httpx2.AsyncClient, url: str):
    made = await api.post(f"{url}/{ONE}", json=answer(CITY, "Colombo"))
    again = await api.post(f"{url}/{ONE}", json=answer(CITY, "Kandy"))
    changed = await api.put(f"{url}/{ONE}", json=answer(FOOD, "rice and curry"))

    assert (made.status_code, made.headers["location"]) == (201, f"{url}/{ONE}".removeprefix("http://test"))
    assert problem(again) == (409, "CQM-10014")
    assert changed.status_code == 200
    assert (await api.get(f"{url}/challenge-answers")).json() == [
        {"questionSetId": "challengeQuestion1", "question": FOOD["question"]}
    ]
    assert (await api.delete(f"{url}/{ONE}")).status_code == 204
    assert (await api.get(f"{url}/challenge-answers")).json() == []


async def test_every_answer_is_forgotten_at_once(api: httpx2.AsyncClient, world: World, url: str):
    await api.post(f"{url}/challenge-answers", json=BOTH)

    assert (await api.delete(f"{url}/challenge-answers")).status_code == 204
    assert await rows(world) == 0


async def test_the_same_answer_to_two_sets_is_refused_however_it_is_typed(
    api: httpx2.AsyncClient, world: World, url: str
):
    together = [answer(CITY, "Colombo", "challengeQuestion1"), answer(PET, " COLOMBO ", "challengeQuestion2")]
    assert problem(await api.post(f"{url}/challenge-answers", json=together)) == (400, "CQM-10017")
    assert await rows(world) == 0

    await api.post(f"{url}/{ONE}", json=answer(CITY, "Colombo"))

    assert problem(await api.post(f"{url}/{TWO}", json=answer(PET, "ｃｏｌｏｍｂｏ"))) == (400, "CQM-10017")
    assert (await api.put(f"{url}/{ONE}", json=answer(CITY, "colombo"))).status_code == 200


async def test_an_answer_cannot_be_guessed_by_offering_it_for_another_set(api: httpx2.AsyncClient, url: str):
    """Whether an answer is unique tells what is kept; so whoever asks often has to wait."""
    await api.post(f"{url}/challenge-answers", json=BOTH)

    guesses = [await api.put(f"{url}/{TWO}", json=answer(PET, f"guess {n}")) for n in range(6)]

    assert [one.status_code for one in guesses] == [200] * 5 + [429]
    assert guesses[-1].headers["retry-after"]
    assert problem(await api.put(f"{url}/{TWO}", json=answer(PET, "Colombo"))) == (429, "429")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"answer": "Colombo"}, "CQM-10011"),
        ({"challengeQuestion": {}, "answer": "Colombo"}, "CQM-10011"),
        ({"challengeQuestion": {"question": ""}, "answer": "Colombo"}, "CQM-10011"),
        (answer({"question": "What is my password?"}, "Colombo"), "CQM-18017"),
        (answer(PET, "Colombo"), "CQM-18017"),
        (answer({**CITY, "questionId": "question2"}, "Colombo"), "CQM-18017"),
        (answer({**CITY, "locale": "../en_US"}, "Colombo"), "CQM-18017"),
        (answer(CITY, ""), "CQM-10016"),
        (answer(CITY, "  a\u200bb  "), "CQM-10016"),
        (answer(CITY, "a" * 201), "CQM-10016"),
        (answer(CITY, "ﷺ" * 200), "CQM-10016"),
        (answer(CITY, "nul\x00nul"), "CQM-10016"),
        (answer(CITY, "bell\x07bell"), "CQM-10016"),
        ({"challengeQuestion": CITY}, "400"),
        ({"challengeQuestion": CITY, "answer": None}, "400"),
        ({"challengeQuestion": CITY, "answer": ["Colombo"]}, "400"),
        ({"challengeQuestion": "In which city were you born?", "answer": "Colombo"}, "400"),
        ([], "400"),
        ("Colombo", "400"),
    ],
)
async def test_a_bad_answer_is_refused_and_nothing_is_kept(
    api: httpx2.AsyncClient, world: World, url: str, body: object, code: str
):
    assert problem(await api.post(f"{url}/{ONE}", json=body)) == (400, code)
    assert await rows(world) == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "400"),
        (BOTH * 6, "400"),
        ([BOTH[0], answer(FOOD, "rice and curry", "challengeQuestion1")], "CQM-20053"),
        ([BOTH[0], answer(PET, "Rex the dog", "challengeQuestion3")], "CQM-18017"),
        ([BOTH[0], answer(PET, "Rex the dog", "../challengeQuestion2")], "CQM-18017"),
        ([BOTH[0], answer(PET, "Rex the dog", "\x00")], "CQM-18017"),
        ([BOTH[0], answer(PET, "Rex the dog")], "400"),
    ],
)
async def test_several_answers_are_kept_together_or_not_at_all(
    api: httpx2.AsyncClient, world: World, url: str, body: object, code: str
):
    assert problem(await api.post(f"{url}/challenge-answers", json=body)) == (400, code)
    assert await rows(world) == 0


@pytest.mark.parametrize(
    "body",
    [
        QUESTION + b', "answer": "Colombo", "answer": "Kandy"}',
        QUESTION + b', "answer": "\\ud800\\ud800\\ud800"}',
        b'{"answer": ' + b"[" * 100_000,
        b'{"answer": ' + b"9" * 10_000 + b"}",
        b'{"answer": NaN}',
        b"\xff\xfe",
        b"{",
        b"",
    ],
)
async def test_a_body_that_can_be_read_two_ways_or_none_is_refused(
    api: httpx2.AsyncClient, world: World, url: str, body: bytes
):
    said = await api.post(f"{url}/{ONE}", content=body, headers={"Content-Type": "application/json"})

    assert said.status_code == 400
    assert await rows(world) == 0


async def test_a_set_that_does_not_exist_is_not_found(api: httpx2.AsyncClient, url: str):
    for set_id in ("challengeQuestion3", "..%2FchallengeQuestion1", "%00", "a" * 65):
        path = f"{url}/challenge-answers/{set_id}"
        assert (await api.post(path, json=answer(CITY, "Colombo"))).status_code == 404
        assert (await api.delete(path)).status_code == 404


@pytest.mark.parametrize("who", [NOBODY, "me2", "bob", "%00", "a" * 5000, NOBODY.replace("-", ""), "%C3%9F"])
async def test_whoever_does_not_exist_is_not_found(api: httpx2.AsyncClient, bob: Person, who: str):
    assert problem(await api.get(f"{USERS}/{who}/challenges")) == (404, "CQM-18003")
    assert problem(await api.get(f"{USERS}/{who}/challenge-answers")) == (404, "CQM-18003")
    for method in ("POST", "PUT"):
        said = await api.request(method, f"{USERS}/{who}/challenge-answers", json=BOTH)
        assert problem(said) == (404, "CQM-18003")
    assert problem(await api.delete(f"{USERS}/{who}/challenge-answers")) == (404, "CQM-18003")


async def test_another_organizations_user_is_not_found(api: httpx2.AsyncClient, world: World, bob: Person):
    other = await a_world(world.database, name="other_company")
    await turn_on(other)
    stranger = await a_person(other)

    for method, body in (("GET", None), ("POST", BOTH), ("PUT", BOTH), ("DELETE", None)):
        said = await api.request(method, f"{USERS}/{stranger.subject_id}/challenge-answers", json=body)
        assert problem(said) == (404, "CQM-18003")
    assert await rows(world) == 0
    await other.authentication.close()


async def test_where_the_organization_has_not_turned_them_on_nothing_is_there(
    api: httpx2.AsyncClient, world: World
):
    bob = await a_person(world)
    url = f"{USERS}/{bob.subject_id}"
    server = "http://test/t/my_company/api/server/v1/challenges"
    calls = [
        ("GET", f"{url}/challenges", None),
        ("GET", f"{url}/challenge-answers", None),
        ("POST", f"{url}/challenge-answers", BOTH),
        ("PUT", f"{url}/challenge-answers", BOTH),
        ("DELETE", f"{url}/challenge-answers", None),
        ("POST", f"{url}/{ONE}", answer(CITY, "Colombo")),
        ("PUT", f"{url}/{ONE}", answer(CITY, "Colombo")),
        ("DELETE", f"{url}/{ONE}", None),
        ("GET", f"{USERS}/{NOBODY}/challenges", None),
        ("GET", server, None),
        ("GET", f"{server}/challengeQuestion1", None),
        ("POST", server, [{"questionSetId": "one", "questions": [{"question": "Who?"}]}]),
        ("PUT", f"{server}/one", [{"question": "Who?"}]),
        ("PATCH", f"{server}/one", {"operation": "ADD", "challengeQuestion": {"question": "Who?"}}),
        ("DELETE", f"{server}/one", None),
        ("DELETE", f"{server}/one/questions/two", None),
    ]

    for method, path, body in calls:
        said = await api.request(method, path, json=body)
        assert problem(said) == (403, "403"), f"{method} {path}"
        assert "challenge_questions" in said.json()["description"]
    assert await rows(world) == 0
    assert await world.database.read(lambda c: c.execute(select(challenge_questions)).all()) == []


async def test_turning_them_off_keeps_what_was_answered_for_when_they_are_on_again(
    api: httpx2.AsyncClient, world: World, url: str
):
    await api.post(f"{url}/challenge-answers", json=BOTH)
    await turn_off(world)
    assert (await api.get(f"{url}/challenge-answers")).status_code == 403

    await turn_on(world)

    assert (await api.get(f"{url}/challenge-answers")).json() == BOTH_ANSWERED


async def test_users_of_an_outside_store_answer_too(api: httpx2.AsyncClient, world: World):
    await turn_on(world)
    service = await LoginService({"testuser": "secret"}).start()
    await world.store(service.url)
    subject = (await world.log_in("testuser", "secret")).subject
    url = f"{USERS}/{subject.id}"

    assert (await api.post(f"{url}/challenge-answers", json=BOTH)).status_code == 201
    assert (await api.get(f"{url}/challenge-answers")).json() == BOTH_ANSWERED

    await world.database.write(lambda c: delete_user_store(c, world.organization.id, "EXTERNAL", no_clients))
    assert problem(await api.get(f"{url}/challenge-answers")) == (404, "CQM-18003")
    assert await rows(world) == 0
    await service.stop()


async def test_deleting_a_user_deletes_the_answers(api: httpx2.AsyncClient, world: World, url: str):
    await api.post(f"{url}/challenge-answers", json=BOTH)

    await world.database.write(lambda c: delete_user(c, world.organization.id, "bob"))

    assert await rows(world) == 0
    assert problem(await api.post(f"{url}/challenge-answers", json=BOTH)) == (404, "CQM-18003")


async def test_of_parallel_answers_to_one_set_one_is_kept(api: httpx2.AsyncClient, world: World, url: str):
    said = await asyncio.gather(*(api.post(f"{url}/challenge-answers", json=[BOTH[n % 2]]) for n in range(6)))

    assert sorted(one.status_code for one in said) == [201] + [409] * 5
    assert await rows(world) == 1


async def test_a_question_may_hold_every_sign(api: httpx2.AsyncClient, url: str):
    """Elsewhere question and answer are one text, and its separator in the question ruins both."""
    odd = {"question": 'Who said: "Veni! Vidi; vici|\\ /%00\' --"?', "questionId": "odd1"}
    server = "http://test/t/my_company/api/server/v1/challenges"
    await api.patch(f"{server}/challengeQuestion1", json={"operation": "ADD", "challengeQuestion": odd})

    assert (await api.post(f"{url}/{ONE}", json=answer(odd, "Caesar! himself!"))).status_code == 201
    assert (await api.get(f"{url}/challenge-answers")).json() == [
        {"questionSetId": "challengeQuestion1", "question": odd["question"]}
    ]


async def test_no_answer_is_in_an_answer_a_log_or_the_database(
    api: httpx2.AsyncClient, world: World, url: str, capfd: pytest.CaptureFixture[str]
):
    secret = "Thiruvananthapuram"
    said = [
        await api.post(f"{url}/{ONE}", json=answer(CITY, secret)),
        await api.post(f"{url}/{ONE}", json=answer(CITY, secret)),
        await api.post(f"{url}/{TWO}", json=answer(PET, secret)),
        await api.post(f"{url}/{TWO}", json=answer(PET, secret * 20)),
        await api.post(f"{url}/{TWO}", json=answer({"question": "?"}, secret)),
        await api.post(f"{url}/{TWO}", json={"answer": [secret]}),
        await api.get(f"{url}/challenge-answers"),
    ]

    (kept,) = await world.database.read(lambda c: c.execute(select(challenge_answers)).all())
    texts = [*(one.text for one in said), json.dumps(list(map(str, kept))), *capfd.readouterr()]
    assert not any(secret.lower() in text.lower() for text in texts)
    assert not any("argon2" in one.text for one in said)
    assert kept.answer_hash.startswith("$argon2id$")


async def test_only_holders_of_the_permission_pass(world: World, url: str):
    transport = httpx2.ASGITransport(an_app(world))
    async with httpx2.AsyncClient(transport=transport) as nobody:
        for method, path in (("GET", "challenges"), ("GET", "challenge-answers"), ("PUT", ONE)):
            assert (await nobody.request(method, f"{url}/{path}")).status_code == 401
            said = await nobody.request(method, f"{url}/{path}", headers={"X-Caller": "clerk"})
            assert said.status_code == 403
