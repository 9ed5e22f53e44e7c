"""Questions and answers in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import JSON, ColumnElement, Connection, and_, delete, func, select

from ostiary.identity.challenges.model import Question, QuestionSet
from ostiary.identity.challenges.tables import challenge_answers as answers
from ostiary.identity.challenges.tables import challenge_questions as questions
from ostiary.identity.repository import run, upserts
from ostiary.identity.tables import subjects, users
from ostiary.identity.user_names import PRIMARY

_ADD_QUESTION = upserts(questions, lambda insert: insert.on_conflict_do_nothing())
_KEY = ("organization_id", "subject_id", "set_id")
_PUT_ANSWER = upserts(
    answers,
    lambda insert: insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={column.name: insert.excluded[column.name] for column in answers.c if column.name not in _KEY},
    ),
)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer's hash, and the question it answered."""

    set_id: str
    question: str
    answer_hash: str = field(repr=False)
    answered_at: datetime


def question_sets(connection: Connection, organization_id: str) -> tuple[QuestionSet, ...]:
    """Every set of the organization by its identifier, with its questions by locale and identifier."""
    found: dict[str, list[Question]] = {}
    for row in connection.execute(select(questions).where(questions.c.organization_id == organization_id)):
        found.setdefault(row.set_id, []).append(Question(row.question_id, row.locale, row.question))
    return tuple(
        QuestionSet(set_id, tuple(sorted(found[set_id], key=lambda one: (one.locale, one.id))))
        for set_id in sorted(found)
    )


def add_question(connection: Connection, organization_id: str, set_id: str, question: Question) -> bool:
    """Add it; False where the set has it already, by identifier or by text."""
    row = {
        "organization_id": organization_id,
        "set_id": set_id,
        "question_id": question.id,
        "locale": question.locale,
        "question": question.text,
    }
    return run(connection, _ADD_QUESTION, row).rowcount == 1


def remove_questions(
    connection: Connection,
    organization_id: str,
    set_id: str,
    question_id: str | None = None,
    locale: str | None = None,
) -> None:
    """Remove the questions of a set, or those of them that have this identifier and locale."""
    which = [questions.c.organization_id == organization_id, questions.c.set_id == set_id]
    which += [] if question_id is None else [questions.c.question_id == question_id]
    which += [] if locale is None else [questions.c.locale == locale]
    connection.execute(delete(questions).where(*which))


def locale_claim(connection: Connection, organization_id: str, subject_id: str) -> str | None:
    """The claim `locale`: of a user of PRIMARY as it is now, of others as their store told it last."""
    joined = and_(
        users.c.organization_id == subjects.c.organization_id,
        users.c.id == subjects.c.immutable_id,
        subjects.c.store_id == PRIMARY,
    )
    claims = func.coalesce(users.c.claims, subjects.c.claims, type_=JSON)
    query = select(claims.label("claims")).join_from(subjects, users, joined, isouter=True)
    row = connection.execute(query.where(_subject(organization_id, subject_id))).first()
    value = (row.claims or {}).get("locale") if row is not None else None
    return value if isinstance(value, str) else None


def lock_person(connection: Connection, organization_id: str, subject_id: str) -> None:
    """Let nobody else change this person's answers before this transaction ends."""
    here = _subject(organization_id, subject_id)
    connection.execute(select(subjects.c.id).where(here).with_for_update())


def answers_of(connection: Connection, organization_id: str, subject_id: str) -> Sequence[KeptAnswer]:
    """What the person has answered, by set."""
    columns = (answers.c.set_id, answers.c.question, answers.c.answer_hash, answers.c.answered_at)
    rows = connection.execute(select(*columns).where(_answers(organization_id, subject_id)))
    return sorted((KeptAnswer(*row) for row in rows), key=lambda one: one.set_id)


def put_answer(connection: Connection, organization_id: str, subject_id: str, kept: KeptAnswer) -> None:
    """Keep it, in place of what answered its set before."""
    row = {
        "organization_id": organization_id,
        "subject_id": subject_id,
        "set_id": kept.set_id,
        "question": kept.question,
        "answer_hash": kept.answer_hash,
        "answered_at": kept.answered_at,
    }
    run(connection, _PUT_ANSWER, row)


def remove_answers(
    connection: Connection, organization_id: str, subject_id: str, set_id: str | None = None
) -> int:
    """Forget the person's answers, or the one of a set; returns how many there were."""
    which = _answers(organization_id, subject_id)
    if set_id is not None:
        which = and_(which, answers.c.set_id == set_id)
    return connection.execute(delete(answers).where(which)).rowcount


def remove_answers_of_store(connection: Connection, organization_id: str, store_id: str) -> None:
    """Forget the answers of everybody of a user store."""
    people = select(subjects.c.id).where(
        subjects.c.organization_id == organization_id, subjects.c.store_id == store_id
    )
    here = and_(answers.c.organization_id == organization_id, answers.c.subject_id.in_(people))
    connection.execute(delete(answers).where(here))


def _subject(organization_id: str, subject_id: str) -> ColumnElement[bool]:
    return and_(subjects.c.organization_id == organization_id, subjects.c.id == subject_id)


def _answers(organization_id: str, subject_id: str) -> ColumnElement[bool]:
    return and_(answers.c.organization_id == organization_id, answers.c.subject_id == subject_id)
