"""Claims of one user for the backend of one API, as the control plane tells them to a node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

LARGEST: Final = 3_072
"""Bytes of JSON that claims may add to a backend JWT: it is sent in a header, which servers take 8 KB of."""
_LARGEST_ANSWER: Final = 4_096


class NotTold(ValueError):
    """An answer about a user that cannot be; the text has nothing of it."""


@dataclass(frozen=True, slots=True)
class ToldClaims:
    """By their names in the dialect."""

    number: int
    """Of the last change of the plan that is certainly in it."""
    claims: Mapping[str, str] = field(repr=False)
    left_out: tuple[str, ...] = ()
    """Asked for and not told: no room, or nothing is known of the user yet. What a user lacks is not here."""

    def to_wire(self) -> dict[str, Any]:
        """Write the answer."""
        return {"number": self.number, "claims": dict(self.claims), "left_out": list(self.left_out)}

    @classmethod
    def from_wire(cls, body: bytes) -> ToldClaims:
        """Read an answer.

        Raises:
            NotTold: it is not of the agreed form, or too large for a header.
        """
        if len(body) > _LARGEST_ANSWER:
            raise NotTold("more was told of a user than a header holds")
        try:
            said = json.loads(body)
            number, claims, left_out = said["number"], said["claims"], said["left_out"]
            texts = [*claims, *claims.values(), *left_out]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NotTold("what was told of a user is of no known form") from None
        if not isinstance(number, int) or not all(isinstance(text, str) for text in texts):
            raise NotTold("what was told of a user is of no known form")
        return cls(number, claims, tuple(left_out))
