"""What anybody may type and any organization may set must not do, at real databases."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.support.sql_servers import MariaDB
from tests.support.sql_stores import Stores, ask, record_of

from ostiary.identity.user_stores.contract import StoreUnavailable, UserRecord


@pytest.mark.parametrize(
    ("dialect", "where", "reason"),
    [
        ("postgresql", "id = :username", "does not fit the column's type"),
        ("mariadb", "CONVERT(login USING latin1) COLLATE latin1_swedish_ci = :username", "character set"),
    ],
)
async def test_a_name_that_a_column_cannot_hold_does_not_close_the_store_to_all(
    request: pytest.FixtureRequest, dialect: str, where: str, reason: str
):
    """Anybody can type such a name; an outage that counted would open the circuit breaker."""
    made = Stores(request.getfixturevalue(dialect).url)
    store = made.make(
        user_query=f"SELECT id, login AS name, password_hash AS hash FROM customers WHERE {where}"
    )

    with pytest.raises(StoreUnavailable, match=reason) as outage:
        await store.authenticate("\u0416\U0001f600", SecretStr("secret"))
    await made.close()

    assert outage.value.down is False


async def test_a_table_with_uuids_can_be_probed(postgres: Stores):
    one = "CAST('00000000-0000-0000-0000-00000000000a' AS uuid)"
    store = postgres.make(
        user_query=f"SELECT {one} AS id, password_hash AS hash FROM customers WHERE login = :username",
        groups_query=f"SELECT 'sales' AS name WHERE {one} = :id",
    )

    await store.probe()

    assert await record_of(store) == UserRecord(
        "00000000-0000-0000-0000-00000000000a", "testuser", frozenset({"sales"}), {}
    )


async def test_no_server_is_sent_a_password_of_our_own_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """libpq takes one from the environment or a file, for whatever host an organization names."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(2000)
                client.sendall(b"R\0\0\0\x08\0\0\0\x03")  # AuthenticationCleartextPassword
                seen.append(client.recv(200))

        (tmp_path / "pgpass").write_text("*:*:*:*:operators-password")
        (tmp_path / "pgpass").chmod(0o600)
        monkeypatch.setenv("PGPASSWORD", "operators-password")
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
        thread = threading.Thread(target=serve)
        thread.start()
        made = Stores(f"postgresql://reader@127.0.0.1:{server.getsockname()[1]}/shop")
        assert (await ask(made.make(password=None))).startswith("unavailable: ")
        await made.close()
        thread.join(5)

    assert seen == [b""]


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("mariadb", "SELECT id, password_hash AS hash, SLEEP(30) FROM customers WHERE login = :username"),
        (
            "sqlite",
            "WITH RECURSIVE endless(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless) "
            "SELECT max(n) AS id, :username AS hash FROM endless",
        ),
    ],
)
async def test_a_query_without_end_is_stopped(
    request: pytest.FixtureRequest, sqlite_customers: Path, dialect: str, query: str
):
    """It would keep a thread, and a core, for ever."""
    url = "sqlite:///shop.db" if dialect == "sqlite" else request.getfixturevalue(dialect).url
    made = Stores(url, sqlite_customers.parent)

    said = await asyncio.wait_for(ask(made.make(timeout_ms=300, user_query=query)), 15)
    await made.close()

    assert said.startswith("unavailable: the query took too long")


@pytest.mark.parametrize(("bit", "said"), [("b'1'", "accepted"), ("b'0'", "certainly refused")])
async def test_a_bit_of_mysql_says_who_is_active(mariadb: MariaDB, bit: str, said: str):
    made = Stores(mariadb.url)
    columns = f"id, CONCAT(password_hash, '  ') AS hash, {bit} AS active"
    query = f"SELECT {columns} FROM customers WHERE login = :username"

    assert await ask(made.make(user_query=query)) == said
    await made.close()


async def test_the_first_unknown_name_costs_a_hash_too(postgres: Stores, monkeypatch: pytest.MonkeyPatch):
    computed: list[str] = []
    monkeypatch.setattr(
        "ostiary.identity.user_stores.sql.service.verify", lambda text, _: bool(computed.append(text))
    )
    store = postgres.make()
    await ask(store, "nobody")
    await ask(store, "nohash")
    await ask(store, "nobody")

    assert [text[:10] for text in computed] == ["$argon2id$", "", "$argon2id$"]
