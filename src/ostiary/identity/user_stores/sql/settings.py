"""What can be set of a user store in a database: where it is, and the queries that find people and groups."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator
from sqlalchemy import text

from ostiary.foundation.http_client import OutboundPolicy, OutboundRefused
from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.type_settings import FileText, Section, TypeSettings

Query = Annotated[str, Field(min_length=1, max_length=10_000)]
Column = Annotated[str, Field(min_length=1, max_length=128)]
Dialect = Literal["postgresql", "mysql", "sqlite"]

_DIALECTS: Final[dict[str, Dialect]] = {
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}
_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "sqlite": 0}
_EXPECTED: Final = "an address such as postgresql://reader@db.example/shop, mysql://… or sqlite:///…"


@dataclass(frozen=True, slots=True)
class Database:
    """Where a database is. `path` is a file of SQLite, or the database's name."""

    dialect: Dialect
    host: str
    port: int
    user: str
    path: str

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone is meant, by its address or as `localhost`."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @classmethod
    def read(cls, url: str) -> Database:
        """Read an address.

        Raises:
            ValueError: says what was expected.
        """
        parts = urlsplit(url)
        dialect = _DIALECTS.get(parts.scheme)
        if dialect is None or parts.query or parts.fragment:
            raise ValueError(_EXPECTED)
        if parts.password is not None:
            raise ValueError("an address without a password, which has a key of its own: 'password'")
        path = unquote(parts.path[1:])
        if not path or (dialect != "sqlite" and not parts.hostname) or (dialect == "sqlite" and parts.netloc):
            raise ValueError(_EXPECTED)
        port = parts.port or _PORTS[dialect]
        return cls(dialect, parts.hostname or "", port, unquote(parts.username or ""), path)


class HashLayout(Section):
    """A hash that says nothing of itself: the digest of password and the column `salt`."""

    algorithm: Literal["sha256", "sha384", "sha512"]
    salt_first: bool = True
    encoding: Literal["hex", "base64"] = "hex"


class SQLSettings(TypeSettings):
    """A table of people in PostgreSQL, MySQL, MariaDB or SQLite."""

    ADDRESSES: ClassVar[frozenset[str]] = frozenset({"url", "tls", "ca"})

    url: Annotated[str, Field(max_length=2000, pattern=r"^(postgresql|mysql|mariadb|sqlite):///?[^\s]+$")]
    """The database and the account that reads it; it needs no other right."""
    password: SecretStr | None = Field(default=None, min_length=1, max_length=1024)
    tls: bool = True
    """Whether TLS is asked for; without it a database is reached on loopback only."""
    ca: FileText | None = None
    """Certificates in PEM of the authorities that are trusted; without it those of this machine."""
    user_query: Query
    """Finds a person by `:username`: columns `id` and `hash`; if any `name`, `active`, `salt` and claims."""
    id_query: Query | None = None
    """Finds somebody who has logged in by `:id`, which is text: the columns of `user_query` but `hash`.

    Without it people are found by name, and are who they were if the id is the same.
    """
    groups_query: Query | None = None
    """Finds the names of a person's groups by `:id`, in its first column."""
    hash_layout: HashLayout | None = None
    """For hashes that do not say how they were made."""
    claims: dict[str, Column] = Field(default_factory=dict, max_length=50)
    """Claim → column of `user_query`."""

    @field_validator("user_query")
    @classmethod
    def _user_query(cls, query: str) -> str:
        return checked_query(query, "username")

    @field_validator("id_query", "groups_query")
    @classmethod
    def _queries_by_id(cls, query: str | None) -> str | None:
        return None if query is None else checked_query(query, "id")

    @classmethod
    def looks_up(cls, kept: Mapping[str, Any]) -> bool:
        """See `TypeSettings`: a row can always be read again."""
        return True

    @property
    def database(self) -> Database:
        """Where the table is."""
        return Database.read(self.url)

    def check(self, policy: OutboundPolicy | None) -> None:
        """See `TypeSettings`."""
        try:
            database = self.database
        except ValueError as error:
            raise InvalidUserStore("url", str(error)) from None
        if database.dialect == "sqlite":
            if policy is not None:
                sqlite_file(database, policy)
            return
        if not (self.tls or database.is_loopback):
            raise InvalidUserStore("tls", "true, because hashes must not travel in the clear")
        _check_literal(database, policy)


def sqlite_file(database: Database, policy: OutboundPolicy) -> Path:
    """The file of a SQLite database, if it is where such files may be.

    Raises:
        InvalidUserStore: it is elsewhere, or such files may be nowhere.
    """
    allowed = policy.sqlite_directory
    if allowed is None:
        expected = "a database of a server: the setting outbound.sqlite_directory allows no files"
        raise InvalidUserStore("url", expected)
    file = (allowed / database.path).resolve()
    if not file.is_relative_to(allowed.resolve()):
        raise InvalidUserStore("url", "a file in the directory of the setting outbound.sqlite_directory")
    return file


def checked_query(query: str, parameter: str) -> str:
    """The query, if it is one SELECT with that parameter and no other.

    Raises:
        ValueError: says what was expected.
    """
    if not re.match(r"\s*(SELECT|WITH)\b", query, re.IGNORECASE) or ";" in query.rstrip().removesuffix(";"):
        raise ValueError("one SELECT statement")
    found = set(text(query)._bindparams)
    if found != {parameter}:
        others = ", ".join(f":{name}" for name in sorted(found - {parameter}))
        said = f"; {others} stands there too (write \\: for a colon that is no parameter)" if others else ""
        raise ValueError(f"the parameter :{parameter} and no other{said}")
    return query


def _check_literal(database: Database, policy: OutboundPolicy | None) -> None:
    try:
        literal = ipaddress.ip_address(database.host)
    except ValueError:
        return  # names are resolved and checked where they are connected to
    try:
        (policy or OutboundPolicy()).check_address(literal, database.port)
    except OutboundRefused as error:
        if policy is not None or "allowed_networks" not in str(error):
            raise InvalidUserStore("url", str(error)) from error
