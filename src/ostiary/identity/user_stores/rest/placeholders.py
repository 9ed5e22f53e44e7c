"""Places for values in the settings of a request.

Settings are read first and filled then: a value becomes a text of JSON, a value of a form, or a
percent-encoded part of an address. Nothing that somebody types can end what it is in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

PLACEHOLDERS: Final = ("username", "password", "id")
_PLACE: Final = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")


def placeholders(value: Any) -> set[str]:
    """Which places there are in the texts of a value, at any depth."""
    if isinstance(value, str):
        return set(_PLACE.findall(value))
    if isinstance(value, Mapping):
        return {name for inner in value.values() for name in placeholders(inner)}
    if isinstance(value, list):
        return {name for inner in value for name in placeholders(inner)}
    return set()


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """The same with these values in the texts, at any depth. A value is not looked through again."""
    if isinstance(value, str):
        return _PLACE.sub(lambda place: values.get(place[1], ""), value)
    if isinstance(value, Mapping):
        return {key: filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, values) for inner in value]
    return value


def filled_url(url: str, values: Mapping[str, str]) -> str:
    """An address with these values in its path, each percent-encoded whole (RFC 3986 §2.1)."""
    return _PLACE.sub(lambda place: quote(values.get(place[1], ""), safe=""), url)
