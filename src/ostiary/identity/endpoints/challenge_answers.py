"""The internal REST API of a person's challenge answers: /api/users/v1/{user-id}/… and /api/users/v1/me/….

In the form of WSO2 Identity Server, except that no answer, nor a hash of one, is ever returned. `me` is a
segment of its own, registered first; an identifier that begins with it is an identifier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Body
from starlette.requests import Request

from ostiary.foundation.answers import Empty, Made, NoContent
from ostiary.identity.challenges import ChallengeAnswers, Change, GivenAnswer, Person
from ostiary.identity.challenges.model import MOST_ANSWERS
from ostiary.identity.endpoints.challenge_documents import (
    AnswerBody,
    AnsweredDocument,
    AnswerOfSetBody,
    SetDocument,
    answered_document,
    challenge_problems,
    sets_document,
)
from ostiary.identity.endpoints.paging import Limit, Offset
from ostiary.permissions import LOGGED_IN, Access, GuardedRouter, needs, organization, principal

PREFIX = "/api/users/v1"
_CHANGED = (404, 409, 429)
_VERBS = ("view", "create", "update", "delete")
_Answers = Annotated[list[AnswerOfSetBody], Body(min_length=1, max_length=MOST_ANSWERS)]


@dataclass(frozen=True, slots=True)
class _Side:
    """One way to say whose answers are meant."""

    path: str
    access: Mapping[str, Access]
    person: Callable[[Request], Person]


def _myself(request: Request) -> Person:
    return Person(organization(request).id, principal(request).subject_id or "")


def _somebody(request: Request) -> Person:
    return Person(organization(request).id, request.path_params["user_id"], principal(request))


_SIDES = (
    _Side("/me", dict.fromkeys(_VERBS, LOGGED_IN), _myself),
    _Side(
        "/{user_id}",
        {
            verb: needs(
                f"/permission/admin/manage/identity/identitymgt/{verb}", f"internal_identity_mgt_{verb}"
            )
            for verb in _VERBS
        },
        _somebody,
    ),
)


def router(answers: ChallengeAnswers) -> GuardedRouter:
    """What people of the URL's organization may answer, and have answered."""
    guarded = GuardedRouter(PREFIX, tags=["Challenge answers (WSO2)"])
    for side in _SIDES:
        _reading(guarded, side, answers)
        _all(guarded, side, answers)
        _one(guarded, side, answers)
    return guarded


def _reading(guarded: GuardedRouter, side: _Side, answers: ChallengeAnswers) -> None:
    @guarded.get(f"{side.path}/challenges", access=side.access["view"])
    async def list_challenges(request: Request, limit: Limit = 100, offset: Offset = 0) -> list[SetDocument]:
        """The challenge sets that the user may answer, in the user's locale."""
        with challenge_problems():
            sets = await answers.questions(side.person(request))
        return sets_document(sets[offset : offset + limit])

    @guarded.get(f"{side.path}/challenge-answers", access=side.access["view"])
    async def list_answered(request: Request) -> list[AnsweredDocument]:
        """Which challenge sets the user has answered, and which question of each; never the answers."""
        with challenge_problems():
            return answered_document(await answers.answered(side.person(request)))


def _all(guarded: GuardedRouter, side: _Side, answers: ChallengeAnswers) -> None:
    path = f"{side.path}/challenge-answers"

    async def change(request: Request, change: Change, body: list[AnswerOfSetBody]) -> None:
        given = [one.given(one.questionSetId) for one in body]
        await _change(request, side, answers, change, given)

    @guarded.post(path, access=side.access["create"], refuses=_CHANGED)
    async def answer_all(request: Request, body: _Answers) -> Made:
        """Answer challenge sets, where none is answered yet."""
        await change(request, Change.ANSWER_ALL, body)
        return _created(request)

    @guarded.put(path, access=side.access["update"], refuses=_CHANGED)
    async def replace_all(request: Request, body: _Answers) -> Empty:
        """Answer anew, in place of every answer there is."""
        await change(request, Change.REPLACE_ALL, body)
        return Empty()

    @guarded.delete(path, access=side.access["delete"], refuses=(404,))
    async def forget_all(request: Request) -> NoContent:
        """Forget every answer of the user."""
        await _forget(request, side, answers, None)
        return NoContent()


def _one(guarded: GuardedRouter, side: _Side, answers: ChallengeAnswers) -> None:
    path = f"{side.path}/challenge-answers/{{set_id}}"

    @guarded.post(path, access=side.access["create"], refuses=_CHANGED)
    async def answer_one(request: Request, set_id: str, body: Annotated[AnswerBody, Body()]) -> Made:
        """Answer a challenge set that is not answered yet."""
        await _change(request, side, answers, Change.ANSWER_ONE, [body.given(set_id)])
        return _created(request)

    @guarded.put(path, access=side.access["update"], refuses=_CHANGED)
    async def replace_one(request: Request, set_id: str, body: Annotated[AnswerBody, Body()]) -> Empty:
        """Answer a challenge set anew."""
        await _change(request, side, answers, Change.REPLACE_ONE, [body.given(set_id)])
        return Empty()

    @guarded.delete(path, access=side.access["delete"], refuses=(404,))
    async def forget_one(request: Request, set_id: str) -> NoContent:
        """Forget the answer of a challenge set."""
        await _forget(request, side, answers, set_id)
        return NoContent()


async def _change(
    request: Request, side: _Side, answers: ChallengeAnswers, change: Change, given: list[GivenAnswer]
) -> None:
    with challenge_problems():
        await answers.change(side.person(request), change, given)


async def _forget(request: Request, side: _Side, answers: ChallengeAnswers, set_id: str | None) -> None:
    with challenge_problems():
        await answers.forget(side.person(request), set_id)


def _created(request: Request) -> Made:
    """What was made is where it was posted to."""
    here = organization(request).name
    path = request.url.path.removeprefix(f"/t/{here}")
    return Made({"Location": f"/t/{here}{path}"})
