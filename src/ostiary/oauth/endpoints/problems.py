"""How this slice's errors look in the internal REST API: one mapping, one place."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ostiary.foundation.problem import Problem
from ostiary.oauth.errors import BadField, ClientIdTaken
from ostiary.permissions import Escalation

_STATUS: Mapping[type[BadField], tuple[int, str]] = {
    BadField: (400, "Bad Request"),
    ClientIdTaken: (409, "Conflict"),
}


@contextmanager
def problems() -> Iterator[None]:
    """Turn a refusal of a use case into its answer."""
    try:
        yield
    except Escalation as error:
        raise Problem(403, "403", "Forbidden", str(error)) from error
    except BadField as error:
        status, message = _STATUS[type(error)]
        raise Problem(status, str(status), message, f"{error.field}: {error.expected}") from error
