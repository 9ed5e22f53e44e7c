"""Finding an organization for every request, without a query for each."""

from ostiary.foundation.database import Database
from ostiary.organizations.model import Organization
from ostiary.organizations.repository import find


async def recall(database: Database, name: str) -> Organization | None:
    """The organization of that name, as it is after the last commit; remembered until the next."""
    return await database.recall(("organization", name), lambda connection: find(connection, name))
