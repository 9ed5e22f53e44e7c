"""Questions, sets of them and answers, as values; the rules of what may be asked and answered.

Everything here is pure. An answer is normalized before it is hashed or compared, so that the same words
are the same answer however they were typed.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Final

from pydantic import SecretStr

from ostiary.identity.challenges.errors import ChallengeRefused, Reason
from ostiary.identity.user_names import is_text

DEFAULT_LOCALE: Final = "en_US"
"""What is asked where a person has no locale, or a set nothing in it."""
MOST_QUESTIONS: Final = 1_000
"""Of an organization, over all sets and locales."""
MOST_ANSWERS: Final = 10
"""Of one person."""
LONGEST_QUESTION: Final = 255
SHORTEST_ANSWER: Final = 3
LONGEST_ANSWER: Final = 200
LONGEST_INPUT: Final = 1_000
"""Characters of an answer as it is typed."""

_NAME = re.compile(r"[A-Za-z0-9]{1,64}\Z")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[_-][A-Za-z0-9]{2,8}){0,3}\Z")


@dataclass(frozen=True, slots=True)
class Question:
    """One question in one language. The same `id` in another locale of the set is its translation."""

    id: str
    locale: str
    text: str


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions of which a person answers one."""

    id: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class DescribedQuestion:
    """A question as somebody describes it: without `id` it gets the next free one of its set."""

    text: str | None
    id: str | None = None
    locale: str | None = None

    def means(self, question: Question) -> bool:
        """Whether it is that question: by its text, and by whatever else it says."""
        same_locale = self.locale is None or canonical_locale(self.locale) == question.locale
        return self.text == question.text and self.id in (None, question.id) and same_locale


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer as it arrives, with the question it says it answers."""

    set_id: str
    question: DescribedQuestion | None
    answer: SecretStr


@dataclass(frozen=True, slots=True)
class Answered:
    """That a question was answered. The answer itself nobody can have back."""

    set_id: str
    question: str


class Change(Enum):
    """What is done with a person's answers, and what must hold before."""

    ANSWER_ALL = "answer several sets, where none is answered yet"
    REPLACE_ALL = "answer anew, in place of every answer there is"
    ANSWER_ONE = "answer a set that is not answered yet"
    REPLACE_ONE = "answer a set anew"

    @property
    def is_of_all(self) -> bool:
        """Whether it is about everything the person has answered."""
        return self in (Change.ANSWER_ALL, Change.REPLACE_ALL)

    def check(self, answered: Collection[str], set_id: str) -> None:
        """Refuse where the answers that are there do not allow it; `answered` are their sets.

        Raises:
            ChallengeRefused: says which.
        """
        if self is Change.ANSWER_ALL and answered:
            raise ChallengeRefused(
                Reason.ANSWERS_THERE, "the user has answered already: change the answers instead"
            )
        if self is Change.REPLACE_ALL and not answered:
            raise ChallengeRefused(Reason.NO_ANSWERS, "the user has answered nothing yet")
        if self is Change.ANSWER_ONE and set_id in answered:
            raise ChallengeRefused(
                Reason.ANSWER_THERE, "the user has answered this set already: change the answer instead"
            )
        if self is Change.REPLACE_ONE and set_id not in answered:
            raise ChallengeRefused(Reason.NO_ANSWER, "the user has not answered this set yet")
        if self is Change.ANSWER_ONE and len(answered) >= MOST_ANSWERS:
            raise ChallengeRefused(Reason.TOO_MANY_ANSWERS, f"at most {MOST_ANSWERS} answers of one user")


def canonical_locale(text: str) -> str | None:
    """`pt_BR` of `pt-br` (the case of RFC 5646 §2.1.1, the separator of Java); None where it is no locale."""
    if not _LOCALE.match(text):
        return None
    language, *rest = re.split("[-_]", text)
    return "_".join([language.lower(), *map(_subtag, rest)])


def parse_locale(text: str | None) -> str:
    """The canonical form of a locale somebody wrote; the default where nobody did.

    Raises:
        ChallengeRefused: it is none.
    """
    locale = DEFAULT_LOCALE if text is None else canonical_locale(text)
    if locale is None:
        raise ChallengeRefused(Reason.LOCALE_INVALID, "locale: a language and a region such as en_US")
    return locale


def parse_name(text: str, what: str) -> str:
    """The identifier of a set or question, as given.

    Raises:
        ChallengeRefused: not 1 to 64 ASCII letters and digits.
    """
    if not is_name(text):
        raise ChallengeRefused(Reason.NAME_INVALID, f"{what}: 1 to 64 ASCII letters and digits")
    return text


def is_name(text: str) -> bool:
    """Whether a set or question can have this identifier at all."""
    return _NAME.match(text) is not None


def parse_questions(
    descriptions: Iterable[DescribedQuestion], taken: Collection[str] = ()
) -> tuple[Question, ...]:
    """Questions of one set; those without identifier get one that neither `taken` nor they have.

    Raises:
        ChallengeRefused: a text, identifier or locale is none, or one question is there twice.
    """
    known = list(descriptions)
    numbers = _free_names({*taken, *(one.id for one in known if one.id is not None)})
    questions = tuple(_parse_question(one, numbers) for one in known)
    for keys in (
        {(one.locale, one.id) for one in questions},
        {(one.locale, one.text) for one in questions},
    ):
        if len(keys) != len(questions):
            raise ChallengeRefused(Reason.QUESTION_THERE, "a question of the set is there twice")
    return questions


def offered(sets: Iterable[QuestionSet], locale: str | None) -> tuple[QuestionSet, ...]:
    """Each set in the locale of a person, or in the default one where it has nothing in that."""
    found = []
    for one in sets:
        for wanted in (locale, DEFAULT_LOCALE):
            if questions := tuple(question for question in one.questions if question.locale == wanted):
                found.append(QuestionSet(one.id, questions))
                break
    return tuple(found)


def choose(sets: Mapping[str, QuestionSet], given: GivenAnswer) -> Question:
    """The offered question that an answer says it answers: it has to say exactly that question.

    Raises:
        ChallengeRefused: it says none, or one that is not offered there.
    """
    said = given.question
    if said is None or not said.text:
        raise ChallengeRefused(Reason.QUESTION_MISSING, "challengeQuestion: the question that is answered")
    for question in sets[given.set_id].questions if given.set_id in sets else ():
        if said.means(question):
            return question
    raise ChallengeRefused(
        Reason.QUESTION_NOT_OFFERED, "challengeQuestion: one that the set offers to this user"
    )


def normalize(answer: SecretStr) -> SecretStr | None:
    """The answer as it is hashed and compared; None where it can be none.

    Case, width, surrounding and repeated spaces and invisible characters make no difference.
    """
    typed = answer.get_secret_value()
    if not is_text(typed, LONGEST_INPUT):
        return None
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).casefold())
    text = " ".join("".join(one for one in folded if unicodedata.category(one) != "Cf").split())
    if not SHORTEST_ANSWER <= len(text) <= LONGEST_ANSWER or not text.isprintable():
        return None
    return SecretStr(text)


def parse_answers(given: Sequence[GivenAnswer]) -> tuple[SecretStr, ...]:
    """The answers of one request, normalized: one for each set, each another.

    Raises:
        ChallengeRefused: two for one set, one that can be none, or two alike.
    """
    if len({one.set_id for one in given}) != len(given):
        raise ChallengeRefused(Reason.TWO_IN_ONE_SET, "questionSetId: one answer for each set")
    answers = tuple(_parse_answer(one.answer) for one in given)
    if len({one.get_secret_value() for one in answers}) != len(answers):
        raise ChallengeRefused(Reason.ANSWER_NOT_UNIQUE, "answer: another one for each set")
    return answers


def _parse_answer(answer: SecretStr) -> SecretStr:
    normalized = normalize(answer)
    if normalized is None:
        expected = f"answer: {SHORTEST_ANSWER} to {LONGEST_ANSWER} characters, spaces around it not counted"
        raise ChallengeRefused(Reason.ANSWER_INVALID, expected)
    return normalized


def _parse_question(described: DescribedQuestion, numbers: Iterator[str]) -> Question:
    text = (described.text or "").strip()
    if not is_text(text, LONGEST_QUESTION) or not text.isprintable():
        expected = f"question: 1 to {LONGEST_QUESTION} characters on one line"
        raise ChallengeRefused(Reason.QUESTION_INVALID, expected)
    question_id = next(numbers) if described.id is None else parse_name(described.id, "questionId")
    return Question(question_id, parse_locale(described.locale), text)


def _free_names(taken: Collection[str]) -> Iterator[str]:
    return (name for number in count(1) if (name := f"question{number}") not in taken)


def _subtag(text: str) -> str:
    if len(text) == 2:
        return text.upper()
    return text.title() if len(text) == 4 and text.isalpha() else text.lower()


DEFAULT_SETS: Final = (
    QuestionSet(
        "challengeQuestion1",
        (
            Question("question1", DEFAULT_LOCALE, "In which city were you born?"),
            Question("question2", DEFAULT_LOCALE, "What is your father's middle name?"),
            Question("question3", DEFAULT_LOCALE, "Which food do you like best?"),
            Question("question4", DEFAULT_LOCALE, "Where do you like to spend your holidays?"),
        ),
    ),
    QuestionSet(
        "challengeQuestion2",
        (
            Question("question1", DEFAULT_LOCALE, "What model was your first car?"),
            Question("question2", DEFAULT_LOCALE, "In which hospital were you born?"),
            Question("question3", DEFAULT_LOCALE, "What was your first pet called?"),
            Question("question4", DEFAULT_LOCALE, "Which sport do you like best?"),
        ),
    ),
)
"""What an organization that turns challenge questions on is given to begin with."""
