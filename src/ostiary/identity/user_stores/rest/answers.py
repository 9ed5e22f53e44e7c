"""What answers mean: JSON that can be read one way only, and expressions on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import jmespath
from jmespath.exceptions import JMESPathError

from ostiary.foundation.strict_json import read_json
from ostiary.identity.user_stores.contract import StoreUnavailable
from ostiary.identity.user_stores.rest.settings import Response

Verdict = Literal["accepted", "refused", "unknown"]
LONGEST_VALUE: Final = 1_000
MOST_GROUPS: Final = 1_000
_NOT_AGREED: Final = "not_the_agreed_form"


class Expressions:
    """Expressions of one answer, compiled once."""

    def __init__(
        self,
        id_: str | None,
        groups: str | None,
        claims: Mapping[str, str],
        name: str | None = None,
        active: str | None = None,
    ) -> None:
        said = (id_, name, groups, active)
        self._id, self._name, self._groups, self._active = (_compiled(text) for text in said)
        self._claims = {claim: jmespath.compile(text) for claim, text in claims.items()}

    @property
    def are_none(self) -> bool:
        """Whether nothing is asked of an answer, so that it need not be JSON."""
        return not (self._id or self._name or self._groups or self._active or self._claims)

    def id(self, answer: Any) -> str | None:
        """The person's id: a text or a number; None where no expression asks for one.

        Raises:
            StoreUnavailable: an expression asks for one and the answer has none.
        """
        return _needed(self._id, answer, "id")

    def name(self, answer: Any) -> str | None:
        """The person's own name; as `id`."""
        return _needed(self._name, answer, "name")

    def is_active(self, answer: Any) -> bool:
        """Whether the person may log in; where no expression asks, everybody may.

        Raises:
            StoreUnavailable: the answer does not say.
        """
        found = True if self._active is None else _search(self._active, answer)
        if not isinstance(found, bool):
            raise StoreUnavailable(_NOT_AGREED)
        return found

    def groups(self, answer: Any) -> frozenset[str]:
        """Names of groups: a list of texts, or one text.

        Raises:
            StoreUnavailable: the expression finds something else.
        """
        found = None if self._groups is None else _search(self._groups, answer)
        listed = [found] if isinstance(found, str) else found or []
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise StoreUnavailable("response.groups finds no list of texts", knows_user=True)
        if len(listed) > MOST_GROUPS:
            raise StoreUnavailable(f"more than {MOST_GROUPS} groups", knows_user=True)
        return frozenset(one for one in listed if one)

    def claims(self, answer: Any) -> Iterator[tuple[str, str]]:
        """Claims that the answer has."""
        for claim, expression in self._claims.items():
            text = _text(_search(expression, answer))
            if text:
                yield claim, text


class Judge:
    """Says what an answer to a login means."""

    def __init__(self, settings: Response) -> None:
        self._settings = settings
        said: Mapping[Verdict, str | None] = {
            "accepted": settings.accepted,
            "unknown": settings.unknown,
            "refused": settings.refused,
        }
        self._conditions = {verdict: jmespath.compile(text) for verdict, text in said.items() if text}

    def verdict(self, status: int, body: bytes) -> tuple[Verdict, Any]:
        """What it means, and the answer as JSON where that was read.

        Raises:
            StoreUnavailable: it is no answer.
        """
        settings = self._settings
        if status in settings.unknown_status:
            return "unknown", None
        if status in settings.refused_status:
            return "refused", None
        if status not in settings.accepted_status:
            raise StoreUnavailable(f"status_{status}", down=status >= 500)
        if settings.accepted is None and not self._conditions:
            return "accepted", read_answer(body) if body.strip() else None
        answer = read_answer(body)
        met = [
            verdict for verdict, condition in self._conditions.items() if _search(condition, answer) is True
        ]
        if settings.accepted is None and not met:
            return "accepted", answer
        if len(met) != 1:  # neither, or both: whoever wrote the conditions has to say
            raise StoreUnavailable(_NOT_AGREED)
        return met[0], answer


def read_answer(body: bytes) -> Any:
    """An answer, if it can be read one way only: no repeated member, no number that is none (RFC 8259).

    Raises:
        StoreUnavailable: it is none.
    """
    try:
        return read_json(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StoreUnavailable(_NOT_AGREED) from error


def _compiled(text: str | None) -> Any:
    return None if text is None else jmespath.compile(text)


def _search(expression: Any, answer: Any) -> Any:
    try:
        return expression.search(answer)
    except (JMESPathError, RecursionError, TypeError, ValueError) as error:
        raise StoreUnavailable(_NOT_AGREED) from error


def _needed(expression: Any, answer: Any, what: str) -> str | None:
    if expression is None:
        return None
    text = _text(_search(expression, answer))
    if not text or len(text) > 255:
        raise StoreUnavailable(f"response.{what} finds nothing in the answer", knows_user=True)
    return text


def _text(value: Any) -> str:
    """A text, a number or a truth as text; several of them separated by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)[:LONGEST_VALUE]
    if isinstance(value, list):
        return ",".join(filter(None, map(_text, value)))[:LONGEST_VALUE]
    return ""
