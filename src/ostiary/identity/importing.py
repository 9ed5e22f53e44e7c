"""Importing users into PRIMARY with the hashes that others made; the next login makes them ours.

A user that is there already stays as it is, so that an import can be begun again after it was interrupted.
It is made of short units of work, so that logins are written between them.
Roles are not imported: whoever may make users may not give them permissions by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.identity.errors import InvalidUser
from ostiary.identity.hashes import problem_of
from ostiary.identity.model import UserSpec
from ostiary.identity.users import add_user, canonical_username, disable_user, find_user
from ostiary.permissions import Escalation

MOST_AT_ONCE: Final = 200
"""Users that one request may have."""
IN_A_UNIT: Final = 25
"""Users that are made in one transaction: 10 ms of the writer, 28 where all are disabled (measured)."""
_MOST_TEXT: Final = 200_000
"""Characters of claims in a transaction, about 10 ms more: few users may have much to tell."""
LONGEST_HASH: Final = 1024
Outcome = Literal["created", "exists", "refused"]


@dataclass(frozen=True, slots=True)
class ImportedUser:
    """A user as a file has it."""

    username: str
    password_hash: str = field(repr=False)
    claims: Mapping[str, str] = field(default_factory=dict)
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one user; `field` and `expected` where it was refused."""

    outcome: Outcome
    field: str = ""
    expected: str = ""


def units_of(users: Iterable[ImportedUser]) -> Iterator[Sequence[ImportedUser]]:
    """The users in order, as many at a time as `import_users` takes in one transaction."""
    some: list[ImportedUser] = []
    text = 0
    for user in users:
        some.append(user)
        text += sum(map(len, user.claims.values()))
        if len(some) == IN_A_UNIT or text >= _MOST_TEXT:
            yield some
            some, text = [], 0
    if some:
        yield some


def import_users(
    connection: Connection,
    organization_id: str,
    users: Sequence[ImportedUser],
    clock: Clock,
    may_make: Callable[[str], None] = lambda _: None,
    *,
    is_dry_run: bool = False,
) -> list[Imported]:
    """Make those that are new and right; what became of each, in their order.

    `may_make` is asked with each canonical name and raises `Escalation` where roles give it too much.
    """
    done = []
    for user in users:
        savepoint = connection.begin_nested()
        try:
            done.append(_import(connection, organization_id, user, clock, may_make))
        except Escalation as error:
            done.append(Imported("refused", "username", str(error)))
        except InvalidUser as error:
            done.append(Imported("refused", error.field, error.expected))
        if is_dry_run or done[-1].outcome == "refused":
            savepoint.rollback()
        else:
            savepoint.commit()
    return done


def _import(
    connection: Connection,
    organization_id: str,
    user: ImportedUser,
    clock: Clock,
    may_make: Callable[[str], None],
) -> Imported:
    problem = problem_of(user.password_hash)
    if problem is not None or len(user.password_hash) > LONGEST_HASH:
        return Imported(
            "refused", "hash", f"a hash that can be verified here (this one: {problem or 'too long'})"
        )
    if find_user(connection, organization_id, user.username) is not None:
        return Imported("exists")
    may_make(canonical_username(connection, organization_id, user.username))
    spec = UserSpec(organization_id, user.username, user.password_hash, user.claims)
    if not add_user(connection, spec, clock):
        return Imported("exists")  # somebody else has just made it
    if user.disabled:
        disable_user(connection, organization_id, user.username, clock)
    return Imported("created")
