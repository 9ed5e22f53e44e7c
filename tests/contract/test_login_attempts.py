"""Counters of login attempts, where several logins of one person come at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import Connection, text
from tests.conftest import create_tables
from tests.system.waiting import until

from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import write_engine
from ostiary.identity.repository.login_attempts import Allowance, CounterKey, clear, reserve

OF_THE_USER, OF_TILL, OF_DESK = (CounterKey("shop", "bob", client) for client in ("", "till", "desk"))
_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


def take(connection: Connection, *keys: CounterKey) -> None:
    now = utc_now()
    for key in keys:
        assert reserve(connection, key, Allowance(100, timedelta(minutes=5)), now, now - timedelta(minutes=1))


def test_a_login_that_ends_and_one_that_begins_do_not_wait_for_each_other(postgresql_url: str) -> None:
    """Both take the user's counter first, wherever the rows are: here it lies behind the client's."""
    create_tables(postgresql_url)
    ending, beginning, watching = (write_engine(postgresql_url) for _ in range(3))
    for keys in ((OF_THE_USER, OF_TILL), (OF_THE_USER, OF_DESK)):
        with beginning.begin() as connection:
            take(connection, *keys)
    with beginning.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            text("VACUUM ANALYZE login_attempts")
        )

    def is_waiting() -> bool:
        with watching.begin() as connection:
            return bool(connection.execute(_WAITING).scalar_one())

    def end() -> None:
        with ending.begin() as connection:
            for key in (OF_THE_USER, OF_TILL):
                clear(connection, key)

    with ThreadPoolExecutor(1) as pool, beginning.begin() as connection:
        take(connection, OF_THE_USER)
        done = pool.submit(end)
        until(is_waiting, what="the login that ends to wait for the counter")
        take(connection, OF_TILL)
        connection.commit()
        done.result(30)
    for engine in (ending, beginning, watching):
        engine.dispose()
