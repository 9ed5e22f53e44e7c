"""How a thing looks in the audit log: what may be seen of it, and what belongs to a person.

What a dataclass hides from its `repr`, and every `SecretStr`, is a secret: of it the log says that there
was one, and not even a digest.
"""

import dataclasses
from collections.abc import Callable, Mapping, Set
from datetime import date, datetime, timedelta
from enum import Enum
from types import NoneType
from typing import Any, Final

from pydantic import BaseModel, SecretStr

HIDDEN: Final = "(hidden)"
PERSON, VALUE, SEALED, ERASED = "$person", "$value", "$sealed", "$erased"
"""The members a personal value is written with: in the clear while it waits, sealed in the chain."""
_LEFT_OUT: Final = frozenset({"organization_id"})

Picture = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Personal:
    """A value that belongs to a person: a subject, or whoever bears a name (`named`)."""

    person: str
    value: Any


@dataclasses.dataclass(frozen=True, slots=True)
class _Secret:
    """A secret while two pictures of a thing are compared."""

    value: Any


def named(store: str, username: str) -> str:
    """A person of whom only the name is known; the chain keeps a keyed hash of it."""
    return f"name:{store}/{username}"


def differences(before: Any, after: Any) -> tuple[Picture | None, Picture | None]:
    """The pictures of a thing as it was and as it is; of a changed one, what differs. None: there is none."""
    old, new = _fields(before), _fields(after)
    if old is not None and new is not None:
        differing = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        old = {name: old[name] for name in differing if name in old}
        new = {name: new[name] for name in differing if name in new}
    return _written(old), _written(new)


def _fields(thing: Any) -> Picture | None:
    if thing is None:
        return None
    if isinstance(thing, Mapping):
        return dict(thing)
    return {
        field.name: getattr(thing, field.name) if field.repr else _Secret(getattr(thing, field.name))
        for field in dataclasses.fields(thing)
        if field.name not in _LEFT_OUT
    }


def _written(value: Any) -> Any:
    """The value as JSON has it."""
    match value:
        case Personal(person, own):
            return {PERSON: person, VALUE: _written(own)}
        case BaseModel():
            return _written({name: getattr(value, name) for name in type(value).model_fields})
        case Mapping():
            return {str(_scalar(name)): _written(one) for name, one in value.items()}
        case Set():
            return sorted((_written(one) for one in value), key=str)
        case list() | tuple():
            return [_written(one) for one in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, _Secret):
            return _written(_fields(value))
    return _scalar(value)


_SCALARS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (  # the first that fits
    ((SecretStr, bytes), lambda value: HIDDEN),
    (_Secret, lambda secret: HIDDEN if secret.value else None),
    (Enum, lambda value: value.value),
    ((NoneType, bool, int, str), lambda value: value),
    (timedelta, lambda value: round(value.total_seconds())),
    ((datetime, date), lambda value: value.isoformat()),
)


def _scalar(value: Any) -> Any:
    write = next((write for kind, write in _SCALARS if isinstance(value, kind)), str)
    return write(value)
