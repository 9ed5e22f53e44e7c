"""Keys of gateway nodes: registered by the node, published for backends."""

from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey
from pydantic import SecretStr
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from tests.conftest import create_tables
from tests.http.gateway.gateway import Gateway, a_gateway
from tests.support.identity import BOX

from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database, write_engine
from ostiary.foundation.events import Event, number_events, record
from ostiary.gateway import GatewaySettings, ensure_embedded_node, every_node_knows_key
from ostiary.gateway.nodes import register_node_keys
from ostiary.gateway.repository import note_seen

ADDRESSES = ("/gateway/jwks", "/t/my_company/gateway/jwks")


def a_key(state: str = "active") -> dict[str, Any]:
    key = ECKey.generate_key("P-256")
    return {"kid": key.thumbprint(), "jwk": dict(key.as_dict(private=False)), "state": state}


async def kids(gateway: Gateway, address: str = "/gateway/jwks") -> list[str]:
    answer = await gateway.http.get(address, headers={"Authorization": ""})
    assert answer.status_code == 200
    return [key["kid"] for key in answer.json()["keys"]]


async def test_registered_keys_are_published_in_every_state(on_both: Gateway):
    keys = [a_key("retiring"), a_key("active"), a_key("announced")]

    answer = await on_both.put_keys(*keys)

    assert (answer.status_code, answer.json()) == (200, {"first": True})
    for address in ADDRESSES:
        assert sorted(await kids(on_both, address)) == sorted(key["kid"] for key in keys)


async def test_a_published_key_says_what_it_is_for(gateway: Gateway):
    key = a_key()
    await gateway.put_keys(key)

    answer = await gateway.http.get("/gateway/jwks")

    assert answer.headers["content-type"] == "application/jwk-set+json"
    public = {name: key["jwk"][name] for name in ("kty", "crv", "x", "y")}
    assert answer.json() == {"keys": [{**public, "kid": key["kid"], "use": "sig", "alg": "ES256"}]}


async def test_how_long_keys_may_be_cached_is_a_setting(sqlite_database: Database):
    async with a_gateway(sqlite_database, jwks_max_age=timedelta(seconds=7)) as gateway:
        await gateway.put_keys(a_key())
        answer = await gateway.http.get("/gateway/jwks")

    assert answer.headers["cache-control"] == "public, max-age=7"


async def test_a_list_without_any_key_is_not_cached(gateway: Gateway):
    """The first key of all signs at once."""
    answer = await gateway.http.get("/gateway/jwks")

    assert (answer.json(), answer.headers["cache-control"]) == ({"keys": []}, "no-store")


async def test_a_node_is_told_whether_anybody_can_have_cached_a_list_without_its_key(on_both: Gateway):
    """Not where it is the first, told again because the answer was lost; else there was another list."""
    key = a_key()
    answers = [(await on_both.put_keys(*told)).json() for told in ([key], [key], [a_key()])]

    assert answers == [{"first": True}, {"first": True}, {"first": False}]


IN_USE = GatewaySettings().node_in_use_for


async def as_another_node(gateway: Gateway) -> str:
    """Another node asks from now on; returns its identifier."""
    other = "credential-of-another-node"
    node = await gateway.write(lambda c: ensure_embedded_node(c, SecretStr(other), BOX, utc_now()))
    gateway.http.headers["Authorization"] = f"Bearer {other}"
    return node.id


@pytest.mark.parametrize(
    ("ago", "first"),
    [
        (timedelta(minutes=11), False),
        (timedelta(hours=24), False),
        (IN_USE - timedelta(seconds=10), False),
        (IN_USE + timedelta(seconds=10), True),
    ],
)
async def test_keys_are_the_first_where_no_node_can_have_served_since_lists_without_them_are_over(
    on_both: Gateway, ago: timedelta, first: bool
):
    """After an outage a new node may ask before the others do, which have served by their last plan."""
    seen, node = on_both.installation.clock() - ago, on_both.node.id
    await on_both.write(lambda c: register_node_keys(c, node, [a_key()], seen, IN_USE))
    await on_both.write(lambda c: note_seen(c, node, 1, seen))
    await as_another_node(on_both)

    assert (await on_both.put_keys(a_key())).json() == {"first": first}


async def test_a_key_is_not_the_first_after_one_of_a_node_that_has_asked_for_no_changes_yet(
    on_both: Gateway,
):
    """It was told that its own is, and signs."""
    assert (await on_both.put_keys(a_key())).json() == {"first": True}
    await as_another_node(on_both)

    assert (await on_both.put_keys(a_key())).json() == {"first": False}


def test_of_two_nodes_that_register_at_once_one_is_told_that_its_key_is_the_first(
    postgresql_url: str,
):
    """SQLite has one writer. Here the second one waits until it can see what the first one registered."""
    create_tables(postgresql_url)
    now, engine, other_engine = utc_now(), write_engine(postgresql_url), write_engine(postgresql_url)
    with engine.begin() as connection:
        one, another = (
            ensure_embedded_node(connection, SecretStr(name), BOX, now).id for name in ("one", "another")
        )

    def register(connection: Connection, node_id: str) -> bool:
        return register_node_keys(connection, node_id, [a_key()], now, IN_USE)

    with engine.begin() as connection:
        assert register(connection, one)
        with other_engine.begin() as meanwhile:
            meanwhile.exec_driver_sql("SET LOCAL lock_timeout = '10ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                register(meanwhile, another)
    with other_engine.begin() as connection:
        assert not register(connection, another)
    for opened in (engine, other_engine):
        opened.dispose()


async def test_a_key_no_longer_named_is_withdrawn(on_both: Gateway):
    old, new = a_key(), a_key("announced")
    await on_both.put_keys(old, new)
    await on_both.put_keys({**new, "state": "active"})

    assert await kids(on_both) == [new["kid"]]


async def test_registering_twice_changes_nothing(gateway: Gateway):
    key = a_key()
    await gateway.put_keys(key)
    await gateway.put_keys(key)

    assert await kids(gateway) == [key["kid"]]


def bad_keys() -> dict[str, dict[str, Any]]:
    private = ECKey.generate_key("P-256")
    other = ECKey.generate_key("P-384")
    return {
        "private": {
            "kid": private.thumbprint(),
            "jwk": dict(private.as_dict(private=True)),
            "state": "active",
        },
        "kid": {**a_key(), "kid": "mine"},
        "curve": {"kid": other.thumbprint(), "jwk": dict(other.as_dict(private=False)), "state": "active"},
        "secret": {"kid": "k", "jwk": dict(OctKey.generate_key(128).as_dict()), "state": "active"},
        "empty": {"kid": "k", "jwk": {}, "state": "active"},
        "point": {"kid": "k", "jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "state": "active"},
        "types": {"kid": "k", "jwk": {"kty": "EC", "crv": "P-256", "x": 5, "y": []}, "state": "active"},
        "state": {**a_key(), "state": "eternal"},
        "more": {**a_key(), "use": "enc"},
    }


@pytest.mark.parametrize("name", bad_keys())
async def test_what_is_no_public_key_of_the_node_is_refused(gateway: Gateway, name: str):
    answer = await gateway.put_keys(bad_keys()[name])

    assert answer.status_code in (400, 422)
    assert await kids(gateway) == []


async def test_another_nodes_key_cannot_be_taken(gateway: Gateway):
    key = a_key()
    await gateway.put_keys(key)
    await as_another_node(gateway)

    answer = await gateway.put_keys({**key, "state": "retiring"})

    assert answer.status_code == 400
    assert await kids(gateway) == [key["kid"]]


async def test_a_key_signs_only_when_every_live_node_knows_it(on_both: Gateway):
    """A token of a key that a node does not know yet would be refused there."""
    now = utc_now()
    node, here = on_both.node.id, on_both.organization_id

    async def known(kid: str) -> bool:
        return await on_both.installation.database.read(lambda c: every_node_knows_key(c, kid, now))

    assert await known("k9")  # no live node: nobody to wait for
    await on_both.write(lambda c: record(c, Event("key", here, "k9")))
    await on_both.write(lambda c: note_seen(c, node, 1, now))
    assert not await known("k9")  # not even numbered
    await on_both.write(number_events)
    assert not await known("k9")
    number = await on_both.number()
    await on_both.write(lambda c: note_seen(c, node, number, now))
    assert await known("k9")
    await on_both.write(lambda c: note_seen(c, node, 1, now - timedelta(hours=1)))
    assert await known("k9")  # a dead node holds up nobody


@pytest.mark.parametrize("name", ["nobody", "a%00b", "%F0%9F%92%A9", "A" * 5000])
async def test_an_address_of_no_organization_is_not_found(on_both: Gateway, name: str):
    """What cannot be a name is never asked of the database: PostgreSQL takes no NUL."""
    assert (await on_both.http.get(f"/t/{name}/gateway/jwks")).status_code == 404
