"""The internal REST API of challenge questions, for administrators: /api/server/v1/challenges.

In the form of WSO2 Identity Server, with two differences: questions are numbered where the body does not
number them, and an operation that does not exist is 400.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Body
from starlette.requests import Request

from ostiary.foundation.answers import Created, NoContent
from ostiary.foundation.database import Database
from ostiary.foundation.problem import Problem
from ostiary.identity.challenges import (
    add_question,
    add_sets,
    find_set,
    list_sets,
    remove_questions,
    replace_set,
)
from ostiary.identity.endpoints.challenge_documents import (
    MOST_AT_ONCE,
    AdditionBody,
    QuestionBody,
    SetBody,
    SetDocument,
    challenge_problems,
    set_document,
    sets_document,
)
from ostiary.identity.endpoints.paging import Limit, Offset
from ostiary.permissions import Access, GuardedRouter, needs, organization

PREFIX = "/api/server/v1/challenges"


def router(database: Database) -> GuardedRouter:
    """The challenge sets of the URL's organization."""
    guarded = GuardedRouter(PREFIX, tags=["Challenge questions (WSO2)"])
    _reading(guarded, database)
    _writing(guarded, database)
    _removing(guarded, database)
    return guarded


def _access(verb: str) -> Access:
    return needs(
        f"/permission/admin/manage/identity/challenge/{verb}", f"internal_challenge_questions_{verb}"
    )


def _reading(guarded: GuardedRouter, database: Database) -> None:
    @guarded.get("", access=_access("view"))
    async def list_all(
        request: Request, locale: str | None = None, limit: Limit = 100, offset: Offset = 0
    ) -> list[SetDocument]:
        """Every challenge set with its questions; with `locale` those in it alone."""
        here = organization(request).id
        with challenge_problems():
            sets = await database.read(lambda connection: list_sets(connection, here, locale))
        return sets_document(sets[offset : offset + limit])

    @guarded.get("/{set_id}", access=_access("view"))
    async def read_one(request: Request, set_id: str, locale: str | None = None) -> SetDocument:
        """One challenge set."""
        here = organization(request).id
        with challenge_problems():
            return set_document(
                await database.read(lambda connection: find_set(connection, here, set_id, locale))
            )


def _writing(guarded: GuardedRouter, database: Database) -> None:
    @guarded.post("", access=_access("create"), refuses=(409,))
    async def create(
        request: Request, body: Annotated[list[SetBody], Body(min_length=1, max_length=MOST_AT_ONCE)]
    ) -> Created[list[SetDocument]]:
        """Add challenge sets, or more questions to sets there are; all or none."""
        here = organization(request)
        described = [(one.questionSetId, [q.described() for q in one.questions]) for one in body]
        with challenge_problems():
            sets = await database.write(lambda connection: add_sets(connection, here.id, described))
        return Created(sets_document(sets), {"Location": f"/t/{here.name}{PREFIX}"})

    @guarded.put("/{set_id}", access=_access("update"), refuses=(409,))
    async def replace(
        request: Request,
        set_id: str,
        body: Annotated[list[QuestionBody], Body(min_length=1, max_length=MOST_AT_ONCE)],
    ) -> SetDocument:
        """Give a challenge set these questions in place of all it had."""
        here = organization(request).id
        described = [one.described() for one in body]
        with challenge_problems():
            return set_document(
                await database.write(lambda connection: replace_set(connection, here, set_id, described))
            )

    @guarded.patch("/{set_id}", access=_access("update"), refuses=(409,))
    async def add(request: Request, set_id: str, body: Annotated[AdditionBody, Body()]) -> SetDocument:
        """Add one question to a challenge set."""
        here = organization(request).id
        if body.operation != "ADD":
            raise Problem(400, "CQM-50009", "Patch operation is not supported.", "operation: ADD")
        described = body.challengeQuestion.described()
        with challenge_problems():
            return set_document(
                await database.write(lambda connection: add_question(connection, here, set_id, described))
            )


def _removing(guarded: GuardedRouter, database: Database) -> None:
    async def remove(request: Request, set_id: str, question_id: str | None, locale: str | None) -> NoContent:
        here = organization(request).id
        with challenge_problems():
            await database.write(
                lambda connection: remove_questions(connection, here, set_id, question_id, locale)
            )
        return NoContent()

    @guarded.delete("/{set_id}", access=_access("delete"))
    async def delete(request: Request, set_id: str, locale: str | None = None) -> NoContent:
        """Remove a challenge set, or what it has in a locale. What was answered stays answered."""
        return await remove(request, set_id, None, locale)

    @guarded.delete("/{set_id}/questions/{question_id}", access=_access("delete"))
    async def delete_question(
        request: Request, set_id: str, question_id: str, locale: str | None = None
    ) -> NoContent:
        """Remove a question in every locale, or in one."""
        return await remove(request, set_id, question_id, locale)
