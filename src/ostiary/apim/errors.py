"""What API management refuses, without HTTP: the endpoints map these to answers."""

_LONGEST_SHOWN = 80


class Invalid(ValueError):
    """A value that cannot be: names the field, what was found (its beginning) and what was expected."""

    def __init__(self, field: str, found: str, expected: str) -> None:
        found = found if len(found) <= _LONGEST_SHOWN else f"{found[:_LONGEST_SHOWN]}…"
        super().__init__(f"{field}: expected {expected}, found {found}")
        self.field = field
        self.found = found
        self.expected = expected


class NotFound(LookupError):
    """The organization has no such thing; another organization's thing is the same answer."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"there is no {kind} {key!r} in this organization")
        self.kind = kind
        self.key = key


class Conflict(Exception):
    """The request is well formed and contradicts what is already there."""


class TransitionRefused(Conflict):
    """The API version's state does not lead to the one asked for."""


class NotSubscribable(Conflict):
    """The API version takes no new subscription, or not with this plan."""
