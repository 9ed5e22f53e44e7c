"""Changing one's own password: who knows the old one may set another.

The old password is checked as a login is, by the same chain of one store and under the same lock-out, and the
new one is written in the transaction that ends that login. A token alone is never enough.
"""

from collections.abc import Callable

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.identity.authentication import Authentication
from ostiary.identity.errors import InvalidUser, PasswordIsElsewhere, UnknownUser
from ostiary.identity.model import AuthenticatedUser, Subject, UserSpec
from ostiary.identity.repository import subjects
from ostiary.identity.user_names import PRIMARY
from ostiary.identity.users import find_user, put_user
from ostiary.organizations import Organization

_CLIENT = "change-password"
"""What wrong guesses are counted under, in place of a client."""


async def change_own_password(
    database: Database,
    authentication: Authentication,
    organization: Organization,
    subject_id: str,
    current: SecretStr,
    new: SecretStr,
    clock: Clock,
) -> None:
    """Give somebody of PRIMARY a new password. Every token and session of the old one ends.

    Raises:
        InvalidUser: the new password cannot be one, or is the old one.
        PasswordIsElsewhere: the user is of another store.
        LoginRefused: the old password is not right, or was tried too often.
        LoginUnavailable, HashingBusy: nobody can say at the moment.
    """
    subject = await database.read(lambda connection: _own(connection, organization.id, subject_id))
    if current.get_secret_value() == new.get_secret_value():
        raise InvalidUser("newPassword", "another one than before")
    password_hash = await authentication.hasher.hash(new)

    def then(connection: Connection) -> Callable[[AuthenticatedUser], None]:
        def write(user: AuthenticatedUser) -> None:
            known = find_user(connection, organization.id, user.subject.username)
            if known is None or known.subject_id != subject_id:
                raise UnknownUser(subject_id)
            put_user(
                connection, UserSpec(organization.id, known.username, password_hash, known.claims), clock
            )

        return write

    name = subject.display(organization.name)
    await authentication.log_in(organization, name, current, _CLIENT, then, user_stores=(PRIMARY,))


def _own(connection: Connection, organization_id: str, subject_id: str) -> Subject:
    subject = subjects.find(connection, organization_id, subject_id)
    if subject is None:
        raise UnknownUser(subject_id)
    if subject.store != PRIMARY:
        raise PasswordIsElsewhere(subject.store)
    return subject
