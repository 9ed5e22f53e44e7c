"""What a customer's table can hold and what goes wrong with a database, at real servers."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.support.certificates import Authority
from tests.support.sql_servers import GROUPS_QUERY, USER_QUERY, MariaDB, PostgreSQL
from tests.support.sql_stores import Stores, ask, record_of

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import InvalidUserStore
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.identity.user_stores.sql.settings import SQLSettings
from ostiary.identity.user_stores.steps import watched


async def test_a_person_has_the_tables_id_groups_and_claims(stores: Stores):
    store = stores.make(groups_query=GROUPS_QUERY, claims={"email": "email", "phone": "no_such_column"})

    assert await record_of(store, "TestUser") == UserRecord(
        "1", "testuser", frozenset({"sales", "stars"}), {"email": "testuser@shop.example"}
    )


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("inactive", "the row is not active"),
        ("unknown-activity", "the row is not active"),
        ("nohash", "the hash cannot be checked: no known scheme, or one too weak to keep"),
        ("weak", "the hash cannot be checked: no known scheme, or one too weak to keep"),
    ],
)
async def test_a_row_that_may_not_log_in_is_refused_and_the_operator_told_why(
    stores: Stores, name: str, meaning: str
):
    with watched() as steps:
        assert await ask(stores.make(), name) == "certainly refused"

    assert [step.facts["meaning"] for step in steps.found if step.what == "refused"] == [meaning]
    assert "pbkdf2" not in repr(steps.found)


async def test_two_rows_of_one_name_are_nobody(stores: Stores):
    assert await ask(stores.make(), "twin") == "unavailable: user_query finds several rows for one person"


async def test_a_quote_in_a_name_is_a_quote(stores: Stores):
    store = stores.make()

    assert await ask(store, "o'brien") == "accepted"
    assert await ask(store, "' OR '1'='1") == "unknown"


NAMES = st.text(
    st.sampled_from("'\"\\;%_-#:`/*()$ \u00e9testuser") | st.characters(codec="utf-8"), max_size=20
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_no_name_becomes_part_of_a_query(
    postgresql: PostgreSQL, mariadb: MariaDB, sqlite_customers: Path, name: str
):
    known = ("testuser", "inactive", "unknown-activity", "nohash", "weak", "twin", "o'brien")
    if name.lower() in known or "\x00" in name:  # no name has a NUL: no store is ever asked about one
        return

    async def found() -> set[str]:
        said = set()
        for url in (postgresql.url, mariadb.url, "sqlite:///shop.db"):
            made = Stores(url, sqlite_customers.parent)
            said.add(await ask(made.make(), name))
            await made.close()
        return said

    assert asyncio.run(found()) == {"unknown"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "wrong"}, "refused"),
        ({"user_query": "SELECT id, hash FROM nowhere WHERE login = :username"}, "no such table"),
        ({"user_query": "SELECT nothing FROM customers WHERE login = :username"}, "no such column"),
        ({"user_query": "SELECT login FROM customers WHERE login = :username"}, "no column 'hash'"),
        ({"groups_query": "SELECT name FROM nowhere WHERE id = :id"}, "no such table"),
    ],
)
@pytest.mark.parametrize("dialect", ["postgresql", "mariadb"])
async def test_what_an_administrator_set_wrong_is_named(
    request: pytest.FixtureRequest, dialect: str, changes: dict[str, Any], reason: str
):
    made = Stores(request.getfixturevalue(dialect).url)
    said = await ask(made.make(**changes))
    await made.close()

    assert said.startswith("unavailable: ")
    assert reason in said
    assert "testuser" not in said


async def test_a_database_cannot_be_changed_by_a_query(postgres: Stores):
    """Even where the account could: the transaction is read-only."""
    gone = "WITH gone AS (DELETE FROM customers WHERE login = :username RETURNING id)"
    writing = f"{gone} SELECT id, '' AS hash FROM gone"
    assert (await ask(postgres.make(user_query=writing))).startswith("unavailable: ")
    assert await ask(postgres.make()) == "accepted"


async def test_a_slow_query_ends_with_the_deadline(postgres: Stores):
    slow = (
        "SELECT id, login AS name, password_hash AS hash, pg_sleep(30) FROM customers WHERE login = :username"
    )
    loop = asyncio.get_running_loop()
    began = loop.time()

    said = await ask(postgres.make(timeout_ms=300, user_query=slow))

    assert said == "unavailable: the query took too long (code 57014)"
    assert loop.time() - began < 15


async def test_a_database_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for scheme in ("postgresql", "mysql"):
            made = Stores(f"{scheme}://reader@127.0.0.1:{port}/shop")
            assert (await ask(made.make(timeout_ms=500))).startswith("unavailable: no answer")
            await made.close()


async def test_a_connection_that_was_closed_is_made_again(postgres: Stores, postgresql: PostgreSQL):
    store = postgres.make()
    assert await ask(store) == "accepted"

    postgresql.drop_connections()

    assert await ask(store) == "accepted"


async def test_maria_db_is_reached_over_tls_with_a_certificate_that_is_checked(
    mariadb: MariaDB, authority: Authority
):
    made = Stores(mariadb.url)

    assert await ask(made.make(ca=authority.ca)) == "accepted"
    assert "its certificate is not trusted" in await ask(made.make(ca=Authority().ca))
    await made.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_postgresql_is_sent_nothing_before_its_certificate_is_checked(
    tmp_path: Path, authority: Authority, trusted: bool
):
    """A stand-in that speaks as much of the protocol as TLS takes: the wheel of our tests has none."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        context = authority.server(tmp_path, "127.0.0.1")

        def serve() -> None:
            client, _ = server.accept()
            client.recv(8)  # SSLRequest
            client.sendall(b"S")
            try:
                with context.wrap_socket(client, server_side=True) as secured:
                    seen.append(secured.recv(100))
            except (ssl.SSLError, OSError):
                return

        thread = threading.Thread(target=serve)
        thread.start()
        made = Stores(f"postgresql://reader@127.0.0.1:{server.getsockname()[1]}/shop")
        said = await ask(made.make(ca=(authority if trusted else Authority()).ca))
        await made.close()
        thread.join(5)

    assert bool(seen and b"reader" in seen[0]) is trusted
    assert ("its certificate is not trusted" in said) is not trusted


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://reader@169.254.169.254/shop", "address_refused"),
        ("mysql://reader@no-such-host.invalid/shop", "no-such-host.invalid does not resolve"),
        ("postgresql://reader@127.0.0.1:1/shop", "no answer (OperationalError)"),
    ],
)
async def test_where_we_do_not_go_or_nobody_is(url: str, reason: str):
    made = Stores(url)
    assert (await ask(made.make())).startswith(f"unavailable: {reason}")
    await made.close()


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("sqlite:///shop.db", True),
        ("sqlite:///../shop.db", False),
        ("sqlite:////etc/passwd", False),
        ("sqlite:///link.db", False),
        ("sqlite:///shop.db?mode=rwc", False),
    ],
)
def test_a_file_is_read_in_the_operators_directory_alone(tmp_path: Path, url: str, is_allowed: bool):
    """An organization's administrator must not read the server's files."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "link.db").symlink_to("/etc/passwd")

    def check(policy: OutboundPolicy) -> None:
        SQLSettings.read({"url": url, "user_query": USER_QUERY}).check(policy)

    with pytest.raises(InvalidUserStore, match="url"):
        check(OutboundPolicy())
    if is_allowed:
        check(OutboundPolicy(sqlite_directory=tmp_path / "files"))
        return
    with pytest.raises(InvalidUserStore):
        check(OutboundPolicy(sqlite_directory=tmp_path / "files"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "postgresql://reader:password@db.example/shop"}, "url"),
        ({"url": "postgresql://reader@db.example"}, "url"),
        ({"url": "postgresql://reader@db.example/shop?sslmode=disable"}, "url"),
        ({"url": "oracle://reader@db.example/shop"}, "url"),
        ({"url": "postgresql://reader@10.0.0.1/shop"}, "url"),
        ({"url": "postgresql://reader@db.example/shop", "tls": False}, "tls"),
        ({"user_query": "DELETE FROM customers WHERE login = :username"}, "user_query"),
        ({"user_query": "SELECT 1; DELETE FROM customers WHERE login = :username"}, "user_query"),
        ({"user_query": "SELECT id, hash FROM customers"}, "user_query"),
        ({"user_query": "SELECT id, hash FROM customers WHERE login = :name"}, "user_query"),
        ({"user_query": "SELECT id, 'at :b' AS hash FROM customers WHERE login = :username"}, "user_query"),
        ({"groups_query": "SELECT name FROM customer_groups WHERE customer_id = :username"}, "groups_query"),
        ({"hash_layout": {"algorithm": "md5"}}, "hash_layout.algorithm"),
    ],
)
def test_bad_settings_name_their_field(changes: dict[str, Any], field: str):
    usual = {"url": "postgresql://reader@db.example/shop", "user_query": USER_QUERY}

    with pytest.raises(InvalidUserStore) as error:
        SQLSettings.read(usual | changes).check(OutboundPolicy())

    assert error.value.field == field


async def test_a_described_hash_is_verified(stores: Stores):
    digest = {
        "postgresql": "encode(sha256(convert_to('salt' || 'secret', 'UTF8')), 'hex')",
        "mysql": "SHA2(CONCAT('salt', 'secret'), 256)",
        "sqlite": "'" + "0" * 64 + "'",
    }[stores.url.partition(":")[0]]
    query = (
        f"SELECT id, login AS name, {digest} AS hash, 'salt' AS salt FROM customers WHERE login = :username"
    )
    store = stores.make(user_query=query, hash_layout={"algorithm": "sha256"})

    assert await ask(store) == ("certainly refused" if stores.url.startswith("sqlite") else "accepted")
    assert await ask(store, password="wrong") == "certainly refused"


async def test_an_unknown_name_costs_a_hash_like_a_known_one(
    postgres: Stores, monkeypatch: pytest.MonkeyPatch
):
    computed: list[str] = []
    real: Callable[..., bool] = __import__("ostiary.identity.hashes", fromlist=["verify"]).verify

    def counted(text: str, password: SecretStr) -> bool:
        computed.append(text)
        return real(text, password)

    monkeypatch.setattr("ostiary.identity.user_stores.sql.service.verify", counted)
    store = postgres.make()
    await ask(store)
    await ask(store, "nobody")

    assert len(computed) == 2
    assert computed[0] == computed[1]
