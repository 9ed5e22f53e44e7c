"""Password hashes (RFC 9106) and the bounded pool that makes them."""

import asyncio
import threading

import argon2
import pytest
from pydantic import SecretStr

from ostiary.identity import HashingBusy, InvalidUser, PasswordHasher, hash_password
from ostiary.identity.settings import HashingSettings


@pytest.fixture
async def hasher():
    made = PasswordHasher(HashingSettings(threads=1, queue=2))
    yield made
    await made.close()


async def test_a_new_hash_is_argon2id_with_our_parameters(hasher: PasswordHasher):
    assert (await hasher.hash(SecretStr("secret"))).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_only_the_right_password_belongs_to_a_hash(hasher: PasswordHasher):
    known = await hash_password(SecretStr("secret"), hasher)

    assert [await hasher.verify(SecretStr(p), known) for p in ("secret", "Secret", "secre")] == [
        True,
        False,
        False,
    ]


async def test_nobody_costs_a_hash_and_is_never_right(hasher: PasswordHasher):
    loop = asyncio.get_running_loop()
    known = await hasher.hash(SecretStr("secret"))

    async def shortest(known_hash: str | None) -> float:
        durations = []
        for _ in range(5):
            started = loop.time()
            assert not await hasher.verify(SecretStr("wrong"), known_hash)
            durations.append(loop.time() - started)
        return min(durations)

    assert await shortest(None) > 0.5 * await shortest(known)


async def test_a_hash_of_other_parameters_is_outdated(hasher: PasswordHasher):
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("secret")

    assert hasher.is_outdated(old)
    assert not hasher.is_outdated(await hasher.hash(SecretStr("secret")))


async def test_a_damaged_hash_accepts_nothing(hasher: PasswordHasher):
    assert not await hasher.verify(SecretStr(""), "")
    assert not await hasher.verify(SecretStr("x"), "$argon2id$v=19$broken")


@pytest.mark.parametrize("password", ["", "  ", "\t\n", "a\x00b", "a" * 1025, "\ud800"])
async def test_what_no_store_may_see_is_not_hashed_either(hasher: PasswordHasher, password: str):
    with pytest.raises(InvalidUser):
        await hasher.hash(SecretStr(password))


async def test_behind_a_full_queue_the_answer_is_busy_and_room_comes_back(hasher: PasswordHasher):
    release = threading.Event()
    waiting = [asyncio.create_task(hasher._run(release.wait)) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(HashingBusy):
        await hasher.verify(SecretStr("x"), None)

    release.set()
    await asyncio.gather(*waiting)
    assert not await hasher.verify(SecretStr("x"), None)
