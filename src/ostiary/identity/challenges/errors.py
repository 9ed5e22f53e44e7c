"""What can be wrong with questions and answers. No text here repeats an answer."""

from enum import Enum, auto


class Reason(Enum):
    """Why something was refused."""

    OFF = auto()
    """The organization has not turned challenge questions on."""
    UNKNOWN_USER = auto()
    UNKNOWN_SET = auto()
    QUESTION_MISSING = auto()
    QUESTION_INVALID = auto()
    QUESTION_THERE = auto()
    QUESTION_NOT_OFFERED = auto()
    """The set does not have this question in the person's locale."""
    TOO_MANY_QUESTIONS = auto()
    NAME_INVALID = auto()
    """The identifier of a set or question."""
    LOCALE_INVALID = auto()
    TWO_IN_ONE_SET = auto()
    ANSWERS_THERE = auto()
    NO_ANSWERS = auto()
    ANSWER_THERE = auto()
    NO_ANSWER = auto()
    ANSWER_INVALID = auto()
    ANSWER_NOT_UNIQUE = auto()
    TOO_MANY_ANSWERS = auto()
    TOO_OFTEN = auto()
    """So many changes were compared with what is kept that it would be guessing."""


class ChallengeRefused(Exception):
    """Something about a question or an answer; `text`, for the client, says what was expected."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class AnswersRefused(Exception):
    """The answers are not accepted: wrong, of nobody, or locked; which it is nobody is told."""

    def __init__(self) -> None:
        super().__init__("the answers are not right")
