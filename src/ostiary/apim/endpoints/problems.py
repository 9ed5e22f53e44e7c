"""How this slice's errors look in the internal REST API: one mapping, one place."""

from collections.abc import Iterator
from contextlib import contextmanager

from ostiary.apim.errors import Conflict, Invalid, NotFound
from ostiary.foundation.problem import Problem
from ostiary.oauth import BadField, ClientIdTaken
from ostiary.permissions import Escalation

_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (Invalid, 400, "Bad Request"),
    (NotFound, 404, "Not Found"),
    (Conflict, 409, "Conflict"),
    (ClientIdTaken, 409, "Conflict"),
    (BadField, 400, "Bad Request"),
    (Escalation, 403, "Forbidden"),
)


@contextmanager
def problems() -> Iterator[None]:
    """Turn a refusal of a use case into its answer."""
    try:
        yield
    except tuple(kind for kind, _, _ in _STATUS) as error:
        status, message = next((s, m) for kind, s, m in _STATUS if isinstance(error, kind))
        raise Problem(status, str(status), message, str(error)) from error
