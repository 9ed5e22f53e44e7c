"""How this slice's errors look in the internal REST API: one mapping, one place."""

from collections.abc import Iterator
from contextlib import contextmanager

from ostiary.foundation.problem import Problem
from ostiary.identity.errors import (
    HashingBusy,
    InvalidUser,
    InvalidUserStore,
    PasswordIsElsewhere,
    UnknownUser,
    UnknownUserStore,
    UserStoreInUse,
)
from ostiary.permissions import Escalation, UnknownPin, UnknownRole


class Taken(Exception):
    """Something of that name is there already."""


_STATUS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (InvalidUser, 400, "Bad Request", ""),
    (InvalidUserStore, 400, "Bad Request", ""),
    (UnknownUser, 404, "Not Found", "there is no such user"),
    (UnknownUserStore, 404, "Not Found", "there is no such user store"),
    (UnknownRole, 404, "Not Found", "there is no such role"),
    (UnknownPin, 404, "Not Found", "the role has pinned no name to that subject"),
    (Escalation, 403, "Forbidden", ""),
    (Taken, 409, "Conflict", ""),
    (PasswordIsElsewhere, 409, "Conflict", ""),
    (UserStoreInUse, 409, "Conflict", ""),
    (HashingBusy, 503, "Service Unavailable", "too many passwords are being checked, try again later"),
)


@contextmanager
def problems() -> Iterator[None]:
    """Turn a refusal of a use case into its answer."""
    try:
        yield
    except tuple(kind for kind, *_ in _STATUS) as error:
        status, message, text = next(row[1:] for row in _STATUS if isinstance(error, row[0]))
        headers = {"Retry-After": "1"} if status == 503 else {}
        raise Problem(status, str(status), message, text or str(error), headers) from error
