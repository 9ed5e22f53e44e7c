"""PRIMARY: the users whose password hashes are in our own database."""

from pydantic import SecretStr

from ostiary.foundation.database import Database
from ostiary.identity.errors import HashingBusy
from ostiary.identity.passwords import PasswordHasher
from ostiary.identity.repository import users
from ostiary.identity.repository.users import Credential
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord


class PrimaryUserStore:
    """PRIMARY of one organization."""

    def __init__(self, database: Database, hasher: PasswordHasher, organization_id: str) -> None:
        self._database = database
        self._hasher = hasher
        self._organization_id = organization_id

    async def authenticate(self, username: str, password: SecretStr) -> UserRecord | None:
        """See `UserStore`. An unknown user costs the same hash as a known one."""
        known = await self._database.read(
            lambda connection: users.credential(connection, self._organization_id, username)
        )
        try:
            right = await self._hasher.verify(password, known.password_hash if known else None)
        except HashingBusy as error:
            raise StoreUnavailable("hashing_busy", knows_user=known is not None) from error
        if known is None:
            return None
        if not right:
            raise Refused(certain=True)
        await self._renew(known, password)
        return UserRecord(known.user_id, known.username, claims=known.claims)

    async def probe(self) -> None:
        """Our own database is there wherever this runs."""

    async def close(self) -> None:
        """Nothing is held."""

    async def _renew(self, known: Credential, password: SecretStr) -> None:
        """Hash the password again when our parameters have changed since; a busy pool leaves it for later."""
        if not self._hasher.is_outdated(known.password_hash):
            return
        try:
            renewed = await self._hasher.hash(password)
        except HashingBusy:
            return
        await self._database.write(
            lambda connection: users.replace_hash(
                connection, self._organization_id, known.user_id, known.password_hash, renewed
            )
        )
