"""What can go wrong when somebody says who they are.

A refusal, an outage and bad input are three families and never stand for each other.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

_MOST_NAMED: Final = 20


class LoginRefused(Exception):
    """The user name and password are not accepted. One text for every reason; the reason goes to the log."""

    def __init__(self, reason: str = "", code: str = "", username: str | None = None) -> None:
        super().__init__("the user name or password is not right")
        self.reason = reason
        """For administrators alone."""
        self.code = code
        """The reason without anybody's name."""
        self.username = username
        """`[STORE/]name` as it was typed, canonical; people type passwords there too."""


class LoginUnavailable(Exception):
    """Nobody can say whether the password is right: a store is down or too busy. Never counted."""

    def __init__(self, retry_after: timedelta = timedelta(seconds=2)) -> None:
        super().__init__("the user cannot be checked at the moment, try again later")
        self.retry_after = retry_after


class InvalidUserName(ValueError):
    """The text cannot be a user's name; says what was expected."""


class InvalidUser(ValueError):
    """A user was described wrongly: `field` and what was expected of it."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field
        self.expected = expected


class InvalidUserStore(ValueError):
    """A user store was described wrongly: `field`, a dotted key or "", and what was expected of it."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}" if field else expected)
        self.field = field
        self.expected = expected


class UnknownUser(LookupError):
    """PRIMARY has no such user."""


class PasswordIsElsewhere(Exception):
    """The user is of a store that keeps its passwords itself."""

    def __init__(self, store: str) -> None:
        super().__init__(f"your password is kept by the user store {store}: change it there")


class UnknownUserStore(LookupError):
    """The organization has no such user store."""


class UserStoreInUse(Exception):
    """The store cannot go while clients say that they ask it."""

    def __init__(self, name: str, clients: Sequence[str]) -> None:
        more = f" and {len(clients) - _MOST_NAMED} more" if len(clients) > _MOST_NAMED else ""
        super().__init__(
            f"{name} is in user_stores of the clients {', '.join(clients[:_MOST_NAMED])}{more}: "
            "take it off their lists first, or switch the store off (enabled: false)"
        )


class HashingBusy(Exception):
    """Too many passwords wait to be checked; nothing was checked."""
