"""The questions of an organization: adding, listing, replacing and removing them.

Functions of a connection, for the caller's transaction. Removing a question leaves the answers that were
given to it: they carry its text.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from ostiary.identity.challenges import repository
from ostiary.identity.challenges.errors import ChallengeRefused, Reason
from ostiary.identity.challenges.model import (
    DEFAULT_SETS,
    MOST_QUESTIONS,
    DescribedQuestion,
    QuestionSet,
    is_name,
    parse_locale,
    parse_name,
    parse_questions,
)
from ostiary.organizations import CHALLENGE_QUESTIONS, by_id


def require_turned_on(connection: Connection, organization_id: str) -> None:
    """Refuse where the organization has not turned challenge questions on.

    Raises:
        ChallengeRefused: it has not.
    """
    organization = by_id(connection, organization_id)
    if organization is None or CHALLENGE_QUESTIONS not in organization.features:
        raise ChallengeRefused(
            Reason.OFF, f"{CHALLENGE_QUESTIONS} is not among the features of the organization"
        )


def offer_default_questions(connection: Connection, organization_id: str) -> None:
    """Give an organization that turns challenge questions on some to begin with, unless it has any."""
    if not repository.question_sets(connection, organization_id):
        _add(connection, organization_id, (), DEFAULT_SETS)


def list_sets(
    connection: Connection, organization_id: str, locale: str | None = None
) -> tuple[QuestionSet, ...]:
    """Every set by its identifier; with `locale` what each has in it, and no set that has nothing.

    Raises:
        ChallengeRefused: they are turned off, or the locale is none.
    """
    require_turned_on(connection, organization_id)
    sets = repository.question_sets(connection, organization_id)
    if locale is None:
        return sets
    wanted = parse_locale(locale)
    narrowed = (QuestionSet(one.id, tuple(q for q in one.questions if q.locale == wanted)) for one in sets)
    return tuple(one for one in narrowed if one.questions)


def find_set(
    connection: Connection, organization_id: str, set_id: str, locale: str | None = None
) -> QuestionSet:
    """One set.

    Raises:
        ChallengeRefused: there is none of that identifier, or nothing in that locale.
    """
    for one in list_sets(connection, organization_id, locale):
        if one.id == set_id:
            return one
    raise ChallengeRefused(Reason.UNKNOWN_SET, "there is no such challenge set")


def add_sets(
    connection: Connection, organization_id: str, described: Sequence[tuple[str, Sequence[DescribedQuestion]]]
) -> tuple[QuestionSet, ...]:
    """Add sets, or more questions to sets there are, all of them or none; the sets as they are then.

    Raises:
        ChallengeRefused: something is wrong with one, or it is there already.
    """
    known = _by_id(list_sets(connection, organization_id))
    wanted: dict[str, list[DescribedQuestion]] = {}
    for set_id, descriptions in described:
        wanted.setdefault(parse_name(set_id, "questionSetId"), []).extend(descriptions)
    added = [
        QuestionSet(set_id, parse_questions(descriptions, _ids(known.get(set_id))))
        for set_id, descriptions in wanted.items()
    ]
    _add(connection, organization_id, known.values(), added)
    return tuple(one for one in list_sets(connection, organization_id) if one.id in wanted)


def replace_set(
    connection: Connection, organization_id: str, set_id: str, descriptions: Sequence[DescribedQuestion]
) -> QuestionSet:
    """Give a set these questions in place of all it had.

    Raises:
        ChallengeRefused: there is no such set, or something is wrong with a question.
    """
    find_set(connection, organization_id, set_id)
    replaced = QuestionSet(set_id, parse_questions(descriptions))
    repository.remove_questions(connection, organization_id, set_id)
    _add(connection, organization_id, list_sets(connection, organization_id), [replaced])
    return find_set(connection, organization_id, set_id)


def add_question(
    connection: Connection, organization_id: str, set_id: str, described: DescribedQuestion
) -> QuestionSet:
    """Add one question to a set; the set as it is then.

    Raises:
        ChallengeRefused: there is no such set, it has the question, or something is wrong with it.
    """
    find_set(connection, organization_id, set_id)
    (changed,) = add_sets(connection, organization_id, [(set_id, [described])])
    return changed


def remove_questions(
    connection: Connection,
    organization_id: str,
    set_id: str,
    question_id: str | None = None,
    locale: str | None = None,
) -> None:
    """Remove a set, or of it one question or what is in a locale; a set goes with its last question.

    Nothing happens where that is not there.

    Raises:
        ChallengeRefused: they are turned off, or the locale is none.
    """
    require_turned_on(connection, organization_id)
    wanted = None if locale is None else parse_locale(locale)
    if is_name(set_id) and (question_id is None or is_name(question_id)):
        repository.remove_questions(connection, organization_id, set_id, question_id, wanted)


def _add(
    connection: Connection, organization_id: str, known: Iterable[QuestionSet], added: Iterable[QuestionSet]
) -> None:
    if sum(len(one.questions) for one in (*known, *added)) > MOST_QUESTIONS:
        raise ChallengeRefused(
            Reason.TOO_MANY_QUESTIONS, f"at most {MOST_QUESTIONS} questions of an organization"
        )
    for one in added:
        for question in one.questions:
            if not repository.add_question(connection, organization_id, one.id, question):
                raise ChallengeRefused(Reason.QUESTION_THERE, f"the set {one.id} has this question already")


def _by_id(sets: Iterable[QuestionSet]) -> dict[str, QuestionSet]:
    return {one.id: one for one in sets}


def _ids(known: QuestionSet | None) -> frozenset[str]:
    return frozenset() if known is None else frozenset(question.id for question in known.questions)
