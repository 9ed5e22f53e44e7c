"""The node's own keys: announced, active, retiring."""

from __future__ import annotations

from pathlib import Path

from ostiary.gateway.node.keys import KeyRing, KeyTiming, generate, load, save

TIMING = KeyTiming(announce=310, retire=960)


def stepped(ring: KeyRing, now: float, rotation: int = 0) -> KeyRing:
    return ring.step(now, rotation, TIMING, generate)


def states(ring: KeyRing) -> list[str]:
    return [key.state for key in ring.keys]


def registered(ring: KeyRing, now: float) -> KeyRing:
    return ring.registered(frozenset(key.kid for key in ring.keys), now)


def first(now: float = 0) -> KeyRing:
    """The ring of the first node there is."""
    ring = stepped(KeyRing(), now)
    return ring.registered(frozenset(key.kid for key in ring.keys), now, first=True)


def kid_of(ring: KeyRing) -> str | None:
    return None if ring.signing is None else ring.signing.kid


def test_the_first_key_of_all_nodes_signs_once_it_is_published() -> None:
    ring = stepped(KeyRing(), 0)
    assert (states(ring), ring.signing) == (["announced"], None)

    ring = ring.registered(frozenset(key.kid for key in ring.keys), 0, first=True)

    assert states(ring) == ["active"]
    assert ring.signing is ring.keys[0]


def test_the_first_key_of_a_further_node_is_announced_like_any_other() -> None:
    ring = registered(stepped(KeyRing(), 0), 1)

    assert (states(ring), ring.signing) == (["announced"], None)
    assert stepped(ring, 310) is ring
    assert states(stepped(ring, 311)) == ["active"]


def test_what_waits_already_does_not_become_first_when_others_have_gone() -> None:
    ring = registered(stepped(KeyRing(), 0), 1)

    again = ring.registered(frozenset(key.kid for key in ring.keys), 2, first=True)

    assert again.signing is None


def test_a_ring_with_nothing_due_stays_as_it_is() -> None:
    ring = first()

    assert stepped(ring, 10) is ring


def test_a_new_key_is_announced_until_nobody_can_have_cached_a_list_without_it() -> None:
    before = first()

    announced = registered(stepped(before, 100, rotation=1), 101)

    assert states(announced) == ["active", "announced"]
    assert kid_of(announced) == kid_of(before)
    assert stepped(announced, 410, rotation=1) is announced
    assert states(stepped(announced, 411, rotation=1)) == ["retiring", "active"]


def test_a_key_that_is_not_registered_never_signs() -> None:
    ring = stepped(first(), 100, rotation=1)

    assert states(stepped(ring, 1_000_000, rotation=1)) == ["active", "announced"]


def test_an_old_key_is_published_until_its_last_backend_jwt_is_over() -> None:
    ring = registered(stepped(first(), 100, rotation=1), 100)
    promoted = stepped(ring, 410, rotation=1)

    assert states(stepped(promoted, 1369, rotation=1)) == ["retiring", "active"]
    assert states(stepped(promoted, 1370, rotation=1)) == ["active"]


def test_one_rotation_asks_for_one_key() -> None:
    ring = stepped(first(), 1, rotation=3)

    assert states(stepped(ring, 2, rotation=3)) == ["active", "announced"]
    assert states(stepped(ring, 2, rotation=4)) == ["active", "announced", "announced"]


def test_only_public_halves_are_registered() -> None:
    document = stepped(KeyRing(), 0).public()[0]

    assert set(document) == {"kid", "jwk", "state"}
    assert set(document["jwk"]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_the_keys_survive_a_restart_readable_by_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = registered(stepped(KeyRing(), 0), 5)

    save(path, ring)

    assert load(path) == ring
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_of_keys_is_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for content in ("", "{", "[]", '[{"kid": 1}]', '"x"'):
        path.write_text(content)
        assert load(path) == KeyRing()
    assert load(tmp_path / "missing") == KeyRing()


def test_a_private_key_is_not_shown() -> None:
    key = first().keys[0]

    assert str(key.private_jwk["d"]) not in repr(key)
