"""/api/server/v1/challenges"""

import httpx2
import pytest
from tests.http.identity.conftest import an_app
from tests.support.challenges import turn_on
from tests.support.identity import World, a_world

from ostiary.identity.challenges.model import DEFAULT_SETS

SETS = "http://test/t/my_company/api/server/v1/challenges"
ORIGIN = {"questionSetId": "origin", "questions": [{"question": "Where from?"}, {"question": "Where to?"}]}


@pytest.fixture(autouse=True)
async def _turned_on(world: World) -> None:
    await turn_on(world)


async def ids(api: httpx2.AsyncClient) -> list[str]:
    return [one["questionSetId"] for one in (await api.get(SETS)).json()]


def problem(answer: httpx2.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"code", "message", "description", "traceId"}
    return answer.status_code, body["code"]


async def test_an_organization_begins_with_eight_questions_in_two_sets(api: httpx2.AsyncClient):
    said = await api.get(SETS)

    assert said.status_code == 200
    assert said.json() == [
        {
            "questionSetId": one.id,
            "questions": [
                {"locale": "en_US", "question": question.text, "questionId": question.id}
                for question in one.questions
            ],
        }
        for one in DEFAULT_SETS
    ]
    assert sum(len(one["questions"]) for one in said.json()) == 8


async def test_sets_are_added_together_and_questions_numbered(api: httpx2.AsyncClient):
    second = {"questionSetId": "taste", "questions": [{"question": "Which tea?", "locale": "en-gb"}]}

    made = await api.post(SETS, json=[ORIGIN, second])

    assert (made.status_code, made.headers["location"]) == (201, SETS.removeprefix("http://test"))
    assert made.json() == [
        {
            "questionSetId": "origin",
            "questions": [
                {"locale": "en_US", "question": "Where from?", "questionId": "question1"},
                {"locale": "en_US", "question": "Where to?", "questionId": "question2"},
            ],
        },
        {
            "questionSetId": "taste",
            "questions": [{"locale": "en_GB", "question": "Which tea?", "questionId": "question1"}],
        },
    ]
    assert (await api.get(f"{SETS}/taste")).json() == made.json()[1]


async def test_what_is_there_already_is_a_conflict_and_nothing_is_added(api: httpx2.AsyncClient):
    await api.post(SETS, json=[ORIGIN])
    other = {"questionSetId": "taste", "questions": [{"question": "Which tea?"}]}
    same_id = {"questionSetId": "origin", "questions": [{"question": "Whither?", "questionId": "question1"}]}

    for body in ([other, ORIGIN], [other, same_id], [other, other]):
        assert problem(await api.post(SETS, json=body)) == (409, "CQM-50006")
    assert await ids(api) == ["challengeQuestion1", "challengeQuestion2", "origin"]


async def test_a_locale_narrows_what_is_listed(api: httpx2.AsyncClient):
    await api.post(
        SETS, json=[{"questionSetId": "taste", "questions": [{"question": "Chá?", "locale": "pt"}]}]
    )

    assert [one["questionSetId"] for one in (await api.get(f"{SETS}?locale=PT")).json()] == ["taste"]
    assert len((await api.get(f"{SETS}?locale=en_US")).json()) == 2
    assert (await api.get(f"{SETS}?locale=fr")).json() == []
    assert problem(await api.get(f"{SETS}/taste?locale=fr")) == (404, "CQM-500010")


async def test_the_list_has_pages(api: httpx2.AsyncClient):
    first, second = await api.get(f"{SETS}?limit=1"), await api.get(f"{SETS}?limit=1&offset=1")

    listed = [one["questionSetId"] for one in first.json() + second.json()]
    assert listed == ["challengeQuestion1", "challengeQuestion2"]
    assert (await api.get(f"{SETS}?limit=0")).status_code == 400


async def test_a_put_replaces_the_questions_of_a_set(api: httpx2.AsyncClient):
    said = await api.put(f"{SETS}/challengeQuestion1", json=[{"question": "Who are you?"}])

    assert said.status_code == 200
    assert said.json() == (await api.get(f"{SETS}/challengeQuestion1")).json()
    assert [one["question"] for one in said.json()["questions"]] == ["Who are you?"]
    assert problem(await api.put(f"{SETS}/origin", json=[{"question": "Who?"}])) == (404, "CQM-500010")


async def test_a_refused_put_leaves_the_set_as_it_was(api: httpx2.AsyncClient):
    before = (await api.get(f"{SETS}/challengeQuestion1")).json()

    twice = [{"question": "Who are you?"}, {"question": " Who are you? "}]
    assert problem(await api.put(f"{SETS}/challengeQuestion1", json=twice)) == (409, "CQM-50006")
    assert (await api.put(f"{SETS}/challengeQuestion1", json=[])).status_code == 400

    assert (await api.get(f"{SETS}/challengeQuestion1")).json() == before


async def test_a_patch_adds_one_question(api: httpx2.AsyncClient):
    body = {"operation": "ADD", "challengeQuestion": {"question": "Who are you?"}}

    said = await api.patch(f"{SETS}/challengeQuestion1", json=body)

    assert said.status_code == 200
    assert said.json()["questions"][-1] == {
        "locale": "en_US",
        "question": "Who are you?",
        "questionId": "question5",
    }
    assert problem(await api.patch(f"{SETS}/challengeQuestion1", json=body)) == (409, "CQM-50006")
    assert problem(await api.patch(f"{SETS}/origin", json=body)) == (404, "CQM-500010")


@pytest.mark.parametrize("operation", ["REMOVE", "add", "", "REPLACE"])
async def test_another_operation_is_a_mistake_of_the_client(api: httpx2.AsyncClient, operation: str):
    body = {"operation": operation, "challengeQuestion": {"question": "Who are you?"}}

    assert problem(await api.patch(f"{SETS}/challengeQuestion1", json=body)) == (400, "CQM-50009")


async def test_removing_is_idempotent_and_the_last_question_takes_its_set_along(api: httpx2.AsyncClient):
    await api.post(SETS, json=[ORIGIN])

    for path in ("challengeQuestion1", "challengeQuestion1", "origin/questions/question1", "%00", "a%20b"):
        assert (await api.delete(f"{SETS}/{path}")).status_code == 204
    assert [one["question"] for one in (await api.get(f"{SETS}/origin")).json()["questions"]] == ["Where to?"]
    assert (await api.delete(f"{SETS}/origin/questions/question2?locale=en_US")).status_code == 204

    assert await ids(api) == ["challengeQuestion2"]


async def test_one_locale_of_a_set_is_removed_alone(api: httpx2.AsyncClient):
    added = {"questionSetId": "challengeQuestion1", "questions": [{"question": "Onde?", "locale": "pt"}]}
    await api.post(SETS, json=[added])

    assert (await api.delete(f"{SETS}/challengeQuestion1?locale=en_US")).status_code == 204

    assert (await api.get(f"{SETS}/challengeQuestion1")).json() == {
        "questionSetId": "challengeQuestion1",
        "questions": [{"locale": "pt", "question": "Onde?", "questionId": "question5"}],
    }


BAD_LOCALES = ["..%2F", "en_US%2F..", "en%5CUS", "%00", "", "e", "en_US.UTF-8", "%C3%A9n", "a" * 40]


@pytest.mark.parametrize("locale", BAD_LOCALES)
async def test_a_locale_that_is_none_is_refused_everywhere(api: httpx2.AsyncClient, locale: str):
    for method, path in (
        ("GET", ""),
        ("GET", "/challengeQuestion1"),
        ("DELETE", "/challengeQuestion1"),
        ("DELETE", "/challengeQuestion1/questions/question1"),
    ):
        said = await api.request(method, f"{SETS}{path}?locale={locale}")
        assert problem(said) == (400, "CQM-20054")
    assert await ids(api) == ["challengeQuestion1", "challengeQuestion2"]


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({}, "CQM-20049"),
        ({"question": ""}, "CQM-20049"),
        ({"question": "  "}, "CQM-20049"),
        ({"question": "a\nb"}, "CQM-20049"),
        ({"question": "a\x00b"}, "CQM-20049"),
        ({"question": "a" * 256}, "CQM-20049"),
        ({"question": "Who?", "locale": "../en"}, "CQM-20054"),
        ({"question": "Who?", "locale": ""}, "CQM-20054"),
        ({"question": "Who?", "questionId": "a b"}, "CQM-20056"),
        ({"question": "Who?", "questionId": ""}, "CQM-20056"),
        ({"question": "Who?", "questionId": "é"}, "CQM-20056"),
        ({"question": "Who?", "questionId": 1}, "400"),
    ],
)
async def test_a_bad_question_is_refused_and_changes_nothing(
    api: httpx2.AsyncClient, question: dict[str, object], code: str
):
    added = {"operation": "ADD", "challengeQuestion": question}
    calls = [
        ("POST", "", [ORIGIN, {"questionSetId": "taste", "questions": [question]}]),
        ("PUT", "/challengeQuestion1", [question]),
        ("PATCH", "/challengeQuestion1", added),
    ]
    before = (await api.get(SETS)).json()

    for method, path, body in calls:
        assert problem(await api.request(method, f"{SETS}{path}", json=body)) == (400, code)

    assert (await api.get(SETS)).json() == before


@pytest.mark.parametrize(
    "set_id", ["", "a b", "../x", "a/b", "\x00", "é", "a" * 65, "http://wso2.org/claims/x"]
)
async def test_a_set_has_an_alphanumeric_identifier(api: httpx2.AsyncClient, set_id: str):
    body = [{"questionSetId": set_id, "questions": [{"question": "Who?"}]}]

    assert problem(await api.post(SETS, json=body)) == (400, "CQM-20056")


async def test_there_is_an_end_to_questions(api: httpx2.AsyncClient):
    def sets(prefix: str, number: int) -> list[dict[str, object]]:
        questions = [{"question": f"Question {n}?"} for n in range(50)]
        return [{"questionSetId": f"{prefix}{n}", "questions": questions} for n in range(number)]

    assert (await api.post(SETS, json=sets("a", 19))).status_code == 201
    assert problem(await api.post(SETS, json=sets("b", 1))) == (400, "CQM-50004")
    assert (await api.post(SETS, json=sets("c", 51))).status_code == 400
    numbered = [{"question": f"Question {n}?", "questionId": f"question{n}"} for n in range(1, 2451)]
    pieces = [numbered[n : n + 50] for n in range(0, 2450, 50)] + [[{"question": "Without a number?"}]]
    body = [{"questionSetId": "d", "questions": piece} for piece in pieces]
    assert problem(await api.post(SETS, json=body)) == (400, "CQM-50004")


async def test_another_organization_has_its_own_questions(api: httpx2.AsyncClient, world: World):
    other = await a_world(world.database, name="other_company")
    await turn_on(other)

    await api.delete(f"{SETS}/challengeQuestion1")

    transport = httpx2.ASGITransport(an_app(other))
    async with httpx2.AsyncClient(transport=transport, headers={"X-Caller": "admin"}) as theirs:
        there = "http://test/t/other_company/api/server/v1/challenges"
        assert len((await theirs.get(there)).json()) == 2
        assert (await theirs.get(SETS)).status_code == 403
    await other.authentication.close()
