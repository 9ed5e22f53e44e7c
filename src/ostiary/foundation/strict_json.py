"""JSON that can be read in one way only (RFC 8259 §4, §6; RFC 7515 §4).

Two readers of one text must not see two things: a name that an object has twice, a number that is none.
"""

import json
from typing import Any


class AmbiguousJSON(ValueError):
    """The text is JSON to some readers and something else to others; says what is wrong, not its values."""


def read_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        AmbiguousJSON: an object has a name twice, or a number is `NaN` or infinite.
        ValueError, RecursionError: it is not JSON, or nested too deep.
    """
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousJSON("the same key is there twice in one object")
    return members


def _no_number(name: str) -> Any:
    raise AmbiguousJSON(f"{name} is no number of JSON")
