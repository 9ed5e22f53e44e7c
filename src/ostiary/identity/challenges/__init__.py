"""Challenge questions: what a person may be asked, and what that person once answered (ADR 0016).

An answer is kept as a slow salted hash and compared under the lock-out of logins. It is never a way to a
password: `ChallengeAnswers.verify` says whether answers are right, and no endpoint asks it.
"""

from ostiary.identity.challenges.answers import ChallengeAnswers, Person
from ostiary.identity.challenges.errors import AnswersRefused, ChallengeRefused, Reason
from ostiary.identity.challenges.model import (
    Answered,
    Change,
    DescribedQuestion,
    GivenAnswer,
    Question,
    QuestionSet,
)
from ostiary.identity.challenges.questions import (
    add_question,
    add_sets,
    find_set,
    list_sets,
    offer_default_questions,
    remove_questions,
    replace_set,
)

__all__ = [
    "Answered",
    "AnswersRefused",
    "ChallengeAnswers",
    "ChallengeRefused",
    "Change",
    "DescribedQuestion",
    "GivenAnswer",
    "Person",
    "Question",
    "QuestionSet",
    "Reason",
    "add_question",
    "add_sets",
    "find_set",
    "list_sets",
    "offer_default_questions",
    "remove_questions",
    "replace_set",
]
