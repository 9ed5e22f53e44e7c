"""A login that issues nothing: all that a real one does, with every step told to whoever administers it.

It is the same code on the same stores, counted against the same limits. The password is nowhere in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation.database import Database
from ostiary.identity.authentication import Authentication
from ostiary.identity.errors import LoginRefused, LoginUnavailable
from ostiary.identity.model import AuthenticatedUser
from ostiary.identity.user_stores.steps import Step, watched
from ostiary.organizations import Organization
from ostiary.permissions import Member, holdings_of

CLIENT: Final = "ostiary-rehearsal"
"""What rehearsals are counted under, apart from every client."""
Decision = Literal["accepted", "refused", "unavailable"]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What came of it, and each step on the way."""

    decision: Decision
    reason: str
    user: AuthenticatedUser | None
    roles: Sequence[str]
    steps: Sequence[Step]


async def rehearse(
    database: Database,
    authentication: Authentication,
    organization: Organization,
    username: str,
    password: SecretStr,
    user_stores: Sequence[str] | None = None,
) -> Rehearsal:
    """Log in as far as a grant would, and say what happened. `user_stores`: as a client has them."""
    with watched() as steps:
        try:
            user = await authentication.authenticate(
                organization, username, password, CLIENT, user_stores=user_stores
            )
        except LoginRefused as refused:
            return Rehearsal("refused", refused.reason, None, (), steps.found)
        except LoginUnavailable:
            reason = "a store that might have accepted could not be asked"
            return Rehearsal("unavailable", reason, None, (), steps.found)
        await authentication.look_ups.rehearse(organization, user.subject)
    subject = user.subject
    member = Member(subject.id, subject.store, subject.username, user.groups)

    def roles(connection: Connection) -> list[str]:
        return sorted(holdings_of(connection, organization.id, member).roles)

    return Rehearsal("accepted", "", user, await database.write(roles), steps.found)
