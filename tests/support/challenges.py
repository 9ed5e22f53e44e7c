"""Builders for challenge questions: an organization that has turned them on, and people who answer."""

from dataclasses import replace
from typing import Any

from tests.support.identity import World

from ostiary.identity import find_user
from ostiary.identity.challenges import Person, offer_default_questions
from ostiary.organizations import CHALLENGE_QUESTIONS, put

CITY = {"questionId": "question1", "question": "In which city were you born?"}
FOOD = {"questionId": "question3", "question": "Which food do you like best?"}
PET = {"questionId": "question3", "question": "What was your first pet called?"}


async def turn_on(world: World) -> None:
    """Let people of the organization answer the default questions."""
    await _features(world, frozenset({CHALLENGE_QUESTIONS}))
    await world.database.write(lambda c: offer_default_questions(c, world.organization.id))


async def turn_off(world: World) -> None:
    """Take the feature away again."""
    await _features(world, frozenset())


async def _features(world: World, features: frozenset[str]) -> None:
    changed = replace(world.organization, features=features)
    await world.database.write(lambda c: put(c, changed))


async def a_person(world: World, username: str = "bob", **spec: Any) -> Person:
    """Somebody of PRIMARY."""
    await world.user(username, **spec)
    user = await world.database.read(lambda c: find_user(c, world.organization.id, username))
    assert user is not None
    return Person(world.organization.id, user.subject_id)


def answer(question: dict[str, str], text: str, set_id: str | None = None) -> dict[str, Any]:
    """The body that answers a question; with `set_id` as one of several."""
    named = {} if set_id is None else {"questionSetId": set_id}
    return {**named, "challengeQuestion": question, "answer": text}


BOTH = [answer(CITY, "Colombo", "challengeQuestion1"), answer(PET, "Rex the dog", "challengeQuestion2")]
BOTH_ANSWERED = [
    {"questionSetId": "challengeQuestion1", "question": CITY["question"]},
    {"questionSetId": "challengeQuestion2", "question": PET["question"]},
]
