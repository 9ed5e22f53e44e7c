"""Who does something, in which request and from where: context, as a log line's request identifier is.

Set around each request by `app`; a unit of work sees it because `Database.write` takes the context along.
Whatever runs outside of a request is the installation's own doing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever acts. `id` is a subject, a client or a gateway node, never a name."""

    kind: str
    id: str | None = None
    client: str | None = None
    """The client that acts for a user."""
    name: str | None = None
    """A user's name as people write it: sealed under the user's own key."""


INSTALLATION = Actor("installation")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from. `operation` is `METHOD /path/{template}`."""

    actor: Actor = field(default=INSTALLATION)
    request_id: str | None = None
    address: str | None = None
    operation: str | None = None


_CURRENT: ContextVar[Callable[[], Origin]] = ContextVar("audit_origin", default=Origin)

noted: ContextVar[bool] = ContextVar("audit_noted", default=False)
"""Whether this unit of work has noted something: each runs in a copy of its request's context."""


@contextmanager
def acting(origin: Callable[[], Origin]) -> Iterator[None]:
    """Whatever is noted inside comes from `origin`, which is asked when there is something to note."""
    tokens = _CURRENT.set(origin), noted.set(False)
    try:
        yield
    finally:
        _CURRENT.reset(tokens[0])
        noted.reset(tokens[1])


def current_origin() -> Origin:
    """Where what happens now comes from."""
    return _CURRENT.get()()
