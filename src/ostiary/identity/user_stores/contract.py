"""What a user store promises, whatever directory is behind it.

Every adapter that takes passwords passes `tests/contract/user_stores`. To add one: a module beside this one,
a row in `USER_STORES` of `directory.py`, a row in `STORES` of that suite's `adapters.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What a store says of a user whose password is right.

    `immutable_id` never belongs to anybody else; where the store has none, the canonical name.
    `groups` are the store's own names, without its prefix; `ambiguous_groups` are names that give nobody
    anything, because a second group has the same or one that looks like it.
    """

    immutable_id: str
    username: str
    groups: frozenset[str] = frozenset()
    claims: Mapping[str, str] = field(default_factory=dict)
    ambiguous_groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KnownUser:
    """Somebody whom a store has accepted before, by the identifier it gave then.

    `known_as` is the canonical name that it accepted, `username` the person's own.
    """

    immutable_id: str
    known_as: str
    username: str


class Refused(Exception):
    """The store says no. Not `certain` where it cannot tell an unknown user from a wrong password.

    `meaning`: what it says besides, such as that the account is locked; for the log, never for the client.
    """

    def __init__(self, *, certain: bool, meaning: str = "") -> None:
        super().__init__("refused" if certain else "refused, or no such user")
        self.certain = certain
        self.meaning = meaning


class StoreUnavailable(Exception):
    """The store cannot say. `reason` is for the log.

    `knows_user`: it has this user all the same, so nobody else may be asked. `down`: it could not be
    reached or had an error of its own, which counts for its circuit breaker; one that is only wrong is not.
    """

    def __init__(
        self,
        reason: str,
        retry_after: timedelta = timedelta(seconds=2),
        *,
        knows_user: bool = False,
        down: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.knows_user = knows_user
        self.down = down


class LoginService(Protocol):
    """An adapter of an outside store: it asks, and leaves deadline, places and breaker to `guarded.py`.

    May be cancelled at any await. Answers as `UserStore` does.
    """

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """As `UserStore.authenticate`."""
        ...

    async def look_up(self, user: KnownUser) -> UserRecord | None:
        """Say what is known now of somebody, without a password.

        * returns a `UserRecord`: the same person is there and may log in;
        * returns `None`: nobody has that identifier any more, whoever has the name now;
        * raises `Refused`: the person is there and may not log in, whatever the password;
        * raises `StoreUnavailable`: it cannot say, at the moment or ever (`TypeSettings.looks_up`).

        A lock by wrong passwords is no such refusal: whoever knows a name could end its sessions.
        """
        ...

    async def probe(self) -> None:
        """Reach the store as a login would, without one: connect, say who we are, look where users are kept.

        Raises:
            StoreUnavailable: `reason` says to an administrator what does not work.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection; nothing is under way."""
        ...


class UserStore(Protocol):
    """A directory that can verify a user name and password.

    * returns a `UserRecord`: it knows this user and the password is right;
    * returns `None`: it has no such user, so the next store is asked;
    * raises `Refused`: it has, and refuses, or cannot tell (`certain=False`);
    * raises `StoreUnavailable`: it cannot say. Fails closed, never counted against the user.
    """

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """Ask about a canonical name. The password is neither empty, blank nor NUL-bearing."""
        ...

    async def probe(self) -> None:
        """See whether the store can be asked at all.

        Raises:
            StoreUnavailable: `reason` says to an administrator what does not work.
        """
        ...

    async def close(self) -> None:
        """Let what is under way end, then let go of every connection."""
        ...
