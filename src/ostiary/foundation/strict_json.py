"""JSON that can be read in one way only (RFC 8259 §4, §6, §8.1; RFC 7515 §4).

Two readers of one text must not see two things: a name that an object has twice, a number that is none.
"""

import json
from math import isfinite
from typing import Any


class AmbiguousJSON(ValueError):
    """The text is JSON to some readers and something else to others; says what is wrong, not its values."""


def read_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        AmbiguousJSON: an object has a name twice, or a number is `NaN`, infinite or too large.
        ValueError, RecursionError: it is not JSON, not UTF-8, or nested too deep.
    """
    decoded = text if isinstance(text, str) else text.decode("utf-8")
    return json.loads(decoded, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousJSON("the same key is there twice in one object")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise AmbiguousJSON(f"{digits[:20]} is too large a number")
    return number


def _no_number(name: str) -> Any:
    raise AmbiguousJSON(f"{name} is no number of JSON")
