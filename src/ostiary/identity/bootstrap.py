"""The first administrator, and the way back in when nobody knows a password any more.

Where the password is shown or written is the caller's business; here it only comes out once.
"""

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.clock import Clock
from ostiary.foundation.database import Database
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import random_token
from ostiary.identity.model import UserSpec
from ostiary.identity.passwords import hash_password
from ostiary.identity.repository import subjects, users
from ostiary.identity.user_names import PRIMARY
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.identity.users import enable_user, find_user, picture_of_user, put_user
from ostiary.organizations import DEFAULT_ORGANIZATION, Organization, find
from ostiary.permissions import a_user, give_admin_role

ADMINISTRATOR = "admin"
_PASSWORD_BYTES = 18


class NoDefaultOrganization(LookupError):
    """The `default` organization has to exist before its administrator."""


async def bootstrap_admin(
    database: Database, clock: Clock, password: SecretStr | None = None
) -> SecretStr | None:
    """Give the `default` organization its first user, `admin`, with the role of that name.

    Returns the password when this call created the user, None when `default` had users already.
    Several starts at once create one user. Without `password` a random one is made.

    Raises:
        NoDefaultOrganization: there is none yet.
        InvalidUser: `password` is not acceptable.
    """
    if not await database.read(lambda c: users.is_empty(c, _default(c).id)):
        return None
    chosen = password or _random_password()
    password_hash = await hash_password(chosen)

    def unit(connection: Connection) -> bool:
        organization, user_id, now = _default(connection), new_id(), clock()
        if not users.add_first(connection, user_id, organization.id, ADMINISTRATOR, password_hash, now):
            return False
        administrator = UserRecord(user_id, ADMINISTRATOR)
        subject, _ = subjects.see(connection, organization.id, PRIMARY, PRIMARY, administrator, now)
        made = picture_of_user(subject.id, ADMINISTRATOR, {}, password_hash)
        audit.note(connection, organization.id, "user", subject.id, None, made)
        give_admin_role(connection, organization, a_user(ADMINISTRATOR))
        return True

    return chosen if await database.write(unit) else None


async def reset_admin_password(
    database: Database, clock: Clock, password: SecretStr | None = None
) -> SecretStr:
    """Give `admin` of `default` a new password and its role, making or enabling it where necessary.

    Raises:
        NoDefaultOrganization: there is none yet.
        InvalidUser: `password` is not acceptable.
    """
    chosen = password or _random_password()
    password_hash = await hash_password(chosen)

    def unit(connection: Connection) -> None:
        organization = _default(connection)
        known = find_user(connection, organization.id, ADMINISTRATOR)
        claims = known.claims if known else {}
        put_user(connection, UserSpec(organization.id, ADMINISTRATOR, password_hash, claims), clock)
        enable_user(connection, organization.id, ADMINISTRATOR)
        give_admin_role(connection, organization, a_user(ADMINISTRATOR))

    await database.write(unit)
    return chosen


def _default(connection: Connection) -> Organization:
    organization = find(connection, DEFAULT_ORGANIZATION)
    if organization is None:
        raise NoDefaultOrganization(DEFAULT_ORGANIZATION)
    return organization


def _random_password() -> SecretStr:
    return SecretStr(random_token(_PASSWORD_BYTES))
