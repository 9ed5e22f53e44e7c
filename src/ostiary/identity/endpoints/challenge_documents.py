"""Challenge questions and answers on the wire, in the form of WSO2 Identity Server; what a refusal answers.

An answer is in bodies only, never in a document of ours.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from typing_extensions import TypedDict

from ostiary.foundation.problem import Problem
from ostiary.identity.challenges import (
    Answered,
    ChallengeRefused,
    DescribedQuestion,
    GivenAnswer,
    QuestionSet,
    Reason,
)
from ostiary.identity.endpoints.problems import problems
from ostiary.identity.errors import LoginUnavailable

MOST_AT_ONCE = 50
"""Sets in a request, and questions of one of them."""
REFUSALS: dict[Reason, tuple[int, str, str]] = {
    Reason.OFF: (403, "403", "Forbidden"),
    Reason.UNKNOWN_USER: (404, "CQM-18003", "Invalid user."),
    Reason.UNKNOWN_SET: (404, "CQM-500010", "Challenge set does not exist."),
    Reason.QUESTION_MISSING: (400, "CQM-10011", "Challenge question is missing."),
    Reason.QUESTION_INVALID: (400, "CQM-20049", "Invalid challenge question."),
    Reason.QUESTION_THERE: (409, "CQM-50006", "Unable to add a challenge question."),
    Reason.QUESTION_NOT_OFFERED: (400, "CQM-18017", "Challenge question is not found."),
    Reason.TOO_MANY_QUESTIONS: (400, "CQM-50004", "Unable to add challenge questions."),
    Reason.NAME_INVALID: (400, "CQM-20056", "Identifier has other than alphanumeric characters."),
    Reason.LOCALE_INVALID: (400, "CQM-20054", "Invalid locale."),
    Reason.TWO_IN_ONE_SET: (400, "CQM-20053", "Two answers for one challenge set."),
    Reason.ANSWERS_THERE: (409, "CQM-10012", "Challenge answers are set already."),
    Reason.NO_ANSWERS: (404, "CQM-10013", "Challenge answers are not set."),
    Reason.ANSWER_THERE: (409, "CQM-10014", "Challenge answer is set already."),
    Reason.NO_ANSWER: (404, "CQM-10015", "Challenge answer is not set."),
    Reason.ANSWER_INVALID: (400, "CQM-10016", "Invalid answer."),
    Reason.ANSWER_NOT_UNIQUE: (400, "CQM-10017", "Answer is not unique."),
    Reason.TOO_MANY_ANSWERS: (400, "CQM-10008", "Unable to set a challenge answer."),
    Reason.TOO_OFTEN: (429, "429", "Too Many Requests"),
}
"""Status, code and message of each refusal; the codes are those of WSO2 where it has one."""
_RETRY_SECONDS = {429: "60", 503: "1"}


@contextmanager
def challenge_problems() -> Iterator[None]:
    """Turn a refusal into its answer."""
    try:
        with problems():
            yield
    except ChallengeRefused as refused:
        status, code, message = REFUSALS[refused.reason]
        raise Problem(status, code, message, refused.text, _retry(status)) from refused
    except LoginUnavailable as error:
        raise Problem(503, "503", "Service Unavailable", str(error), _retry(503)) from error


def _retry(status: int) -> dict[str, str]:
    return {"Retry-After": _RETRY_SECONDS[status]} if status in _RETRY_SECONDS else {}


class QuestionBody(BaseModel):
    """A question; only its text has to be there."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: str | None = None
    questionId: str | None = None
    locale: str | None = None

    def described(self) -> DescribedQuestion:
        """As the use cases take it."""
        return DescribedQuestion(self.question, self.questionId, self.locale)


class SetBody(BaseModel):
    """Questions of which a person may answer one."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    questionSetId: str
    questions: Annotated[list[QuestionBody], Field(min_length=1, max_length=MOST_AT_ONCE)]


class AdditionBody(BaseModel):
    """A change of a set; the only `operation` there is is ADD."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    operation: str
    challengeQuestion: QuestionBody


class AnswerBody(BaseModel):
    """The answer to a question of a set."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    challengeQuestion: QuestionBody | None = None
    answer: SecretStr

    def given(self, set_id: str) -> GivenAnswer:
        """As the use cases take it."""
        question = self.challengeQuestion
        return GivenAnswer(set_id, question.described() if question else None, self.answer)


class AnswerOfSetBody(AnswerBody):
    """The answer to a question, with its set."""

    questionSetId: str


class QuestionDocument(TypedDict):
    """A question in a locale."""

    locale: str
    question: str
    questionId: str


class SetDocument(TypedDict):
    """Questions of which a person may answer one."""

    questionSetId: str
    questions: list[QuestionDocument]


class AnsweredDocument(TypedDict):
    """A set that is answered, and which question of it; never the answer."""

    questionSetId: str
    question: str


def sets_document(sets: Iterable[QuestionSet]) -> list[SetDocument]:
    """Sets with their questions."""
    return [set_document(one) for one in sets]


def set_document(one: QuestionSet) -> SetDocument:
    """A set with its questions."""
    questions: list[QuestionDocument] = [
        {"locale": q.locale, "question": q.text, "questionId": q.id} for q in one.questions
    ]
    return {"questionSetId": one.id, "questions": questions}


def answered_document(answered: Iterable[Answered]) -> list[AnsweredDocument]:
    """Which sets are answered, and which question of each."""
    return [{"questionSetId": one.set_id, "question": one.question} for one in answered]
