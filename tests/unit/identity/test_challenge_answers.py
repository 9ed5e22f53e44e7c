"""Comparing answers: under the lock-out of logins, alike for every reason, never a way to more guesses."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from tests.support.challenges import CITY, PET, a_person, turn_off, turn_on
from tests.support.identity import AdvancingClock, World, a_world

from ostiary.foundation.database import Database
from ostiary.identity import LoginRefused, disable_user, put_user
from ostiary.identity.challenges import (
    AnswersRefused,
    ChallengeAnswers,
    ChallengeRefused,
    Change,
    DescribedQuestion,
    GivenAnswer,
    Person,
    Reason,
)
from ostiary.identity.model import UserSpec
from ostiary.identity.settings import LockoutSettings

LIMITS = LockoutSettings(client_failures=5, user_failures=12, patience=timedelta(seconds=30))
RIGHT = {"challengeQuestion1": "Colombo", "challengeQuestion2": "Rex the dog"}
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def clock() -> AdvancingClock:
    return AdvancingClock()


@pytest.fixture
async def world(database: Database, clock: AdvancingClock) -> AsyncIterator[World]:
    made = await a_world(database, clock=clock, lockout=LIMITS)
    await turn_on(made)
    yield made
    await made.authentication.close()


@pytest.fixture
def answers(world: World) -> ChallengeAnswers:
    return answers_of(world)


def answers_of(world: World) -> ChallengeAnswers:
    """As one worker has it."""
    authentication = world.authentication
    return ChallengeAnswers(world.database, authentication.hasher, authentication.lockout, world.clock)


def given(set_id: str, question: dict[str, str], text: str) -> GivenAnswer:
    return GivenAnswer(set_id, DescribedQuestion(question["question"]), SecretStr(text))


@pytest.fixture
async def bob(world: World, answers: ChallengeAnswers) -> Person:
    bob = await a_person(world)
    both = [
        given(set_id, question, RIGHT[set_id])
        for set_id, question in (("challengeQuestion1", CITY), ("challengeQuestion2", PET))
    ]
    await answers.change(bob, Change.ANSWER_ALL, both)
    return bob


async def verified(
    answers: ChallengeAnswers, person: Person, typed: dict[str, str], client: str = "recovery"
) -> bool:
    try:
        subject = await answers.verify(
            person, {set_id: SecretStr(text) for set_id, text in typed.items()}, client
        )
    except AnswersRefused:
        return False
    return subject.id == person.subject_id


async def test_right_answers_are_right_however_they_are_typed(answers: ChallengeAnswers, bob: Person):
    assert await verified(answers, bob, RIGHT)
    assert await verified(answers, bob, {set_id: f"  {text.upper()} " for set_id, text in RIGHT.items()})
    assert await verified(answers, bob, {"challengeQuestion1": "colombo"})


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"challengeQuestion1": "Kandy"},
        {**RIGHT, "challengeQuestion2": "wrong"},
        {**RIGHT, "challengeQuestion3": "Colombo"},
        {"challengeQuestion1": "Rex the dog", "challengeQuestion2": "Colombo"},
        {"challengeQuestion1": ""},
        {"challengeQuestion1": "-"},
        {"challengeQuestion1": "\ud800\x00"},
        {"\x00": "Colombo"},
        {f"set{n}": "Colombo" for n in range(1000)},
    ],
    ids=lambda typed: ",".join(typed)[:30],
)
async def test_one_wrong_answer_is_a_refusal(answers: ChallengeAnswers, bob: Person, typed: dict[str, str]):
    assert not await verified(answers, bob, typed)


@pytest.mark.parametrize("who", [NOBODY, "me", "\x00", ""])
async def test_nobody_is_refused_as_a_wrong_answer_is(answers: ChallengeAnswers, bob: Person, who: str):
    assert not await verified(answers, Person(bob.organization_id, who), RIGHT)


async def test_another_organizations_person_is_nobody(answers: ChallengeAnswers, world: World, bob: Person):
    other = await a_world(world.database, name="other_company", clock=world.clock)
    await turn_on(other)

    assert not await verified(answers, Person(other.organization.id, bob.subject_id), RIGHT)
    await other.authentication.close()


async def test_a_disabled_user_and_an_organization_that_has_none_are_refused(
    answers: ChallengeAnswers, world: World, bob: Person
):
    await world.database.write(lambda c: disable_user(c, bob.organization_id, "bob", world.clock))
    assert not await verified(answers, bob, RIGHT)

    ann = await a_person(world, "ann")
    await answers.change(ann, Change.ANSWER_ONE, [given("challengeQuestion1", CITY, "Galle")])
    await turn_off(world)
    assert not await verified(answers, ann, {"challengeQuestion1": "Galle"})


async def test_wrong_answers_lock_and_time_unlocks(
    answers: ChallengeAnswers, clock: AdvancingClock, bob: Person
):
    for _ in range(5):
        assert not await verified(answers, bob, {"challengeQuestion1": "wrong"})
    assert not await verified(answers, bob, RIGHT)

    clock.advance(LIMITS.client_lock)

    assert await verified(answers, bob, RIGHT)


async def test_wrong_answers_and_wrong_passwords_are_one_count(
    answers: ChallengeAnswers, world: World, bob: Person
):
    for n in range(12):
        assert not await verified(answers, bob, {"challengeQuestion1": "wrong"}, client=f"client{n // 4}")

    with pytest.raises(LoginRefused):
        await world.log_in("bob", client="another")


async def test_right_answers_give_no_more_guesses_at_the_password(
    answers: ChallengeAnswers, world: World, bob: Person
):
    for _ in range(4):
        with pytest.raises(LoginRefused):
            await world.log_in("bob", "wrong", client="recovery")
        assert await verified(answers, bob, RIGHT)

    with pytest.raises(LoginRefused):
        await world.log_in("bob", "wrong", client="recovery")
    assert not await verified(answers, bob, RIGHT)
    with pytest.raises(LoginRefused):
        await world.log_in("bob", client="recovery")


async def test_of_parallel_guesses_no_more_are_compared_than_one_after_the_other(
    answers: ChallengeAnswers, world: World, bob: Person
):
    workers = [answers, answers_of(world)]
    guesses = [{"challengeQuestion1": f"guess {n}"} for n in range(29)]

    results = await asyncio.gather(
        *(verified(workers[n % 2], bob, typed) for n, typed in enumerate(guesses)),
    )

    assert not any(results)
    assert not await verified(answers, bob, RIGHT)


async def test_nobody_has_answers_to_change(answers: ChallengeAnswers, bob: Person):
    nobody = Person(bob.organization_id, NOBODY)

    with pytest.raises(ChallengeRefused) as refused:
        await answers.change(nobody, Change.ANSWER_ONE, [given("challengeQuestion1", CITY, "Galle")])

    assert refused.value.reason is Reason.UNKNOWN_USER


async def test_parallel_answers_with_different_sets_leave_what_one_of_them_said(
    answers: ChallengeAnswers, world: World
):
    ann = await a_person(world, "ann")
    wanted = [given("challengeQuestion1", CITY, "Galle"), given("challengeQuestion2", PET, "Felix")]

    results = await asyncio.gather(
        *(answers.change(ann, Change.ANSWER_ALL, [one]) for one in wanted * 2), return_exceptions=True
    )

    assert sum(result is None for result in results) == 1
    assert len(await answers.answered(ann)) == 1


async def test_what_was_answered_stays_when_the_question_goes_or_the_locale_changes(
    answers: ChallengeAnswers, world: World, bob: Person
):
    spec = UserSpec(bob.organization_id, "bob", claims={"locale": "fr_FR"})
    await world.database.write(lambda c: put_user(c, spec, world.clock))

    assert [one.question for one in await answers.answered(bob)] == [CITY["question"], PET["question"]]
    assert await verified(answers, bob, RIGHT)
