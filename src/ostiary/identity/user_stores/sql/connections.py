"""Connections to somebody else's database: checked addresses, TLS, read-only, never longer than a login.

Drivers block, so queries run on threads of the store. A database that hangs keeps a thread until the
driver's own time-outs end it.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from sqlalchemy import QueuePool, TextClause, create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ostiary.foundation.http_client import OutboundFailed, OutboundRefused
from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.contract import StoreUnavailable
from ostiary.identity.user_stores.sql.settings import Database, SQLSettings, sqlite_file
from ostiary.identity.user_stores.steps import note
from ostiary.identity.user_stores.surroundings import Surroundings

Row = Mapping[str, Any]

_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite+pysqlite"}
_KEPT: Final = 30.0
"""Seconds for which a resolved address is used."""

_MEANINGS: Final = {
    "28P01": "the password is refused",
    "28000": "the account is refused",
    "3D000": "there is no such database",
    "42P01": "there is no such table",
    "42703": "there is no such column",
    "42501": "the account may not read it",
    "42601": "the query is no SQL",
    "57014": "the query took too long",
    "22P02": "the name or id does not fit the column's type: compare it as text",
    "22P05": "the name is not of the database's character set",
    "22003": "the number is too large for the column",
    "1045": "the account or its password is refused",
    "1049": "there is no such database",
    "1146": "there is no such table",
    "1054": "there is no such column",
    "1142": "the account may not read it",
    "1064": "the query is no SQL",
    "1267": "the name is not of the column's character set: convert the column in the query",
    "1969": "the query took too long",
    "3024": "the query took too long",
}
"""What a database's codes mean (PostgreSQL: appendix A; MySQL: server error messages)."""
_UNTRUSTED: Final = "untrusted"
_CONNECTION_REFUSED: Final = {
    "password authentication failed": "28P01",
    "does not exist": "3D000",
    "certificate": _UNTRUSTED,
}
"""Words of libpq, and the code they stand for."""
_NO_FAULT_OF_THE_SERVER: Final = (
    "22",
    "28",
    "3D",
    "42",
    "1045",
    "1049",
    "1054",
    "1064",
    "1142",
    "1146",
    "1267",
)
"""How codes begin that say nothing of a server's health: what one types must not close a store to all."""
_NO_FILE: Final = "/dev/null/none"
_SQLITE_STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at the clock; less than a millisecond."""


class Connections:
    """The pool of one store, on threads of its own."""

    def __init__(self, settings: SQLSettings, around: Surroundings) -> None:
        self._settings = settings
        self._database = settings.database
        self._around = around
        self._address = ""
        self._resolved_until = 0.0
        size = around.options.concurrency
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="user-store")
        self._engine = create_engine(
            f"{_DRIVERS[self._database.dialect]}://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=around.deadline,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            pool_recycle=600,
        )
        self._ca_file = _pem_file(settings.ca) if self._database.dialect == "postgresql" else None

    async def rows(self, query: TextClause, most: int, **values: str | None) -> Sequence[Row]:
        """At most that many rows of a query.

        Raises:
            StoreUnavailable: the database cannot be reached, or does not understand.
        """
        await self._resolve()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._read, query, most, values)
        except SQLAlchemyError as error:
            raise _unavailable(error) from error
        except _failures() as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        """Close every connection; what hangs is left to its time-out."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()
        if self._ca_file is not None:
            self._ca_file.unlink(missing_ok=True)

    def _read(self, query: TextClause, most: int, values: Mapping[str, str | None]) -> Sequence[Row]:
        try:
            return self._fetch(query, most, values)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._fetch(query, most, values)  # it was closed while nobody used it

    def _fetch(self, query: TextClause, most: int, values: Mapping[str, str | None]) -> Sequence[Row]:
        with self._engine.connect() as connection:
            _end_at(connection.connection.driver_connection, time.monotonic() + self._around.deadline)
            return [dict(row) for row in connection.execute(query, dict(values)).mappings().fetchmany(most)]

    async def _resolve(self) -> None:
        """Look the host up, and hold all its addresses against the policy."""
        loop = asyncio.get_running_loop()
        if self._database.dialect == "sqlite" or loop.time() < self._resolved_until:
            return
        try:
            found = await self._around.policy.resolve(self._database.host, self._database.port)
        except OutboundRefused as error:
            raise StoreUnavailable(f"address_refused: {error}") from error
        except OutboundFailed as error:
            raise StoreUnavailable(f"{self._database.host} does not resolve", down=True) from error
        self._address, self._resolved_until = str(found[0]), loop.time() + _KEPT

    def _connect(self) -> Any:
        return _CONNECT[self._database.dialect](self)

    def _password(self) -> str | None:
        password = self._settings.password
        return None if password is None else password.get_secret_value()

    def _wants_tls(self) -> bool:
        return self._settings.tls and not (self._database.is_loopback and self._settings.ca is None)

    def _postgresql(self) -> Any:
        """libpq connects to `hostaddr`, checks the certificate for `host`, and is told all it may use.

        It would offer the password in the environment, one of a file, a client certificate or a Kerberos
        ticket of this process to whichever server an organization names.
        """
        import psycopg  # 9 MB of every process, which most installations never need

        milliseconds = self._around.options.timeout_ms
        tls: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": str(self._ca_file or "system")}
        return psycopg.connect(
            host=self._database.host,
            hostaddr=self._address,
            port=self._database.port,
            user=self._database.user,
            password=self._password() or "",
            passfile=_NO_FILE,
            sslcertmode="disable",
            gssencmode="disable",
            require_auth="!gss,!sspi",
            dbname=self._database.path,
            connect_timeout=max(2, round(self._around.deadline)),
            tcp_user_timeout=milliseconds,
            application_name="ostiary",
            options=f"-c statement_timeout={milliseconds} -c default_transaction_read_only=on",
            **(tls if self._wants_tls() else {"sslmode": "disable"}),
        )

    def _mysql(self) -> Any:
        """PyMySQL checks the certificate for `host`, over a connection that we made to a checked address."""
        import pymysql

        context = ssl.create_default_context(cadata=self._settings.ca) if self._wants_tls() else None
        deadline = max(1, round(self._around.deadline))
        connection = pymysql.connect(
            host=self._database.host,
            port=self._database.port,
            user=self._database.user,
            password=self._password() or "",
            database=self._database.path,
            connect_timeout=deadline,
            read_timeout=deadline,
            write_timeout=deadline,
            init_command="SET SESSION TRANSACTION READ ONLY",
            charset="utf8mb4",
            ssl=context,
            ssl_disabled=context is None,
            defer_connect=True,
        )
        connection.connect(socket.create_connection((self._address, self._database.port), deadline))
        is_maria_db = "mariadb" in connection.get_server_info().lower()  # type: ignore[no-untyped-call]
        seconds = self._around.deadline
        limit = (
            f"max_statement_time={seconds}" if is_maria_db else f"max_execution_time={int(seconds * 1000)}"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION {limit}")
        return connection

    def _sqlite(self) -> Any:
        file = sqlite_file(self._database, self._around.policy)
        uri = f"{file.as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=self._around.deadline, check_same_thread=False)


_CONNECT: Final[Mapping[str, Callable[[Connections], Any]]] = {
    "postgresql": Connections._postgresql,
    "mysql": Connections._mysql,
    "sqlite": Connections._sqlite,
}


def _end_at(connection: Any, end: float) -> None:
    """SQLite runs in this process, so it is stopped here; servers are told a time when connected to."""
    if isinstance(connection, sqlite3.Connection):
        connection.set_progress_handler(lambda: time.monotonic() > end, _SQLITE_STEPS)


def _unavailable(error: Exception) -> StoreUnavailable:
    """What an administrator needs to know; never a database's own text, which may hold a name."""
    cause: Any = getattr(error, "orig", None) or error
    cause = getattr(cause, "original_exception", None) or cause  # PyMySQL's, where a connection failed
    if isinstance(cause, InvalidUserStore):
        return StoreUnavailable(str(cause))
    if isinstance(cause, sqlite3.Error):
        if isinstance(cause, sqlite3.OperationalError) and cause.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return StoreUnavailable("the query took too long", down=True)
        return StoreUnavailable(f"SQLite: {getattr(cause, 'sqlite_errorname', type(cause).__name__)}")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StoreUnavailable(f"its certificate is not trusted ({cause.verify_message})", down=True)
    code = _code(cause)
    if code[:2] == "22" and code not in _MEANINGS:
        return StoreUnavailable(f"the database cannot compare the value (code {code})")
    if code in _MEANINGS:
        note("database", code=code, meaning=_MEANINGS[code])
        is_down = not code.startswith(_NO_FAULT_OF_THE_SERVER)
        return StoreUnavailable(f"{_MEANINGS[code]} (code {code})", down=is_down)
    if code == _UNTRUSTED:
        return StoreUnavailable("its certificate is not trusted", down=True)
    return StoreUnavailable(f"no answer ({f'{type(cause).__name__} {code}'.strip()})", down=True)


def _code(error: BaseException) -> str:
    """What a database calls the error; PostgreSQL tells no code where it refuses a connection."""
    if isinstance(error, _errors_of("pymysql")):
        return str(error.args[0]) if error.args else ""
    if isinstance(error, _errors_of("psycopg")) and not error.sqlstate:  # type: ignore[attr-defined]
        return next((code for words, code in _CONNECTION_REFUSED.items() if words in str(error)), "")
    return str(getattr(error, "sqlstate", None) or "")


def _failures() -> tuple[type[Exception], ...]:
    """What a connection that breaks can raise."""
    return (OSError, sqlite3.Error, *_errors_of("psycopg"), *_errors_of("pymysql"))


def _errors_of(driver: str) -> tuple[type[Exception], ...]:
    """What a driver raises; one that has not been loaded raises nothing."""
    return (sys.modules[driver].Error,) if driver in sys.modules else ()


def _pem_file(ca: str | None) -> Path | None:
    """libpq takes authorities from a file only."""
    if ca is None:
        return None
    with tempfile.NamedTemporaryFile("w", prefix="ostiary-ca-", suffix=".pem", delete=False) as file:
        file.write(ca)
    return Path(file.name)


def describe(database: Database) -> str:
    """The database as an administrator knows it."""
    return f"{database.dialect}://{database.host}:{database.port}/{database.path}"
