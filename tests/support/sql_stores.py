"""Adapters of databases with customers, for the tests of them."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr
from tests.support.sql_servers import READER_PASSWORD, USER_QUERY

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import PasswordHasher
from ostiary.identity.model import StoreOptions
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.sql.service import SQLService, make_sql
from ostiary.identity.user_stores.sql.settings import SQLSettings
from ostiary.identity.user_stores.surroundings import Surroundings

HASHER = PasswordHasher()


class Stores:
    """Adapters, closed at the end."""

    def __init__(self, url: str, files: Path | None = None) -> None:
        self.url = url
        self._policy = OutboundPolicy(sqlite_directory=files)
        self._made: list[SQLService] = []

    def make(self, timeout_ms: int = 5000, **changes: Any) -> SQLService:
        usual = {"url": self.url, "password": READER_PASSWORD, "user_query": USER_QUERY}
        read = SQLSettings.read({k: v for k, v in (usual | changes).items() if v is not None})
        around = Surroundings(self._policy, HASHER, StoreOptions(timeout_ms=timeout_ms))
        self._made.append(make_sql(read, around))  # type: ignore[arg-type]
        return self._made[-1]

    async def close(self) -> None:
        for one in self._made:
            await one.close()


async def ask(store: SQLService, name: str = "testuser", password: str = "secret") -> str:
    """What came of it, in a few words."""
    try:
        record = await store.authenticate(name, SecretStr(password))
    except Refused as refusal:
        return "certainly refused" if refusal.certain else "refused"
    except StoreUnavailable as outage:
        return f"unavailable: {outage.reason}"
    return "unknown" if record is None else "accepted"


async def record_of(store: SQLService, name: str = "testuser") -> UserRecord:
    record = await store.authenticate(name, SecretStr("secret"))
    assert record is not None
    return record
