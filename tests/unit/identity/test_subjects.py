"""Subjects and their standing: one `sub` per person, whoever sees it first."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import func, select
from tests.support.identity import World, a_world, no_clients
from tests.support.login_service import LoginService

from ostiary.foundation.database import Database
from ostiary.identity import (
    LoginRefused,
    StandingProblem,
    check_standing,
    delete_user,
    delete_user_store,
    disable_subject,
    disable_user,
    enable_user,
)
from ostiary.identity.tables import subjects
from ostiary.organizations import latest_minimum


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await a_world(database)
    yield made
    await made.authentication.close()


async def standing(world: World, subject_id: str):
    return await world.database.read(
        lambda c: check_standing(c, world.organization.id, subject_id, world.clock)
    )


async def minimum(world: World, subject_id: str) -> int:
    return await world.database.read(
        lambda c: latest_minimum(c, world.organization.id, [("subject", subject_id)])
    )


async def test_a_first_sight_by_many_at_once_is_one_subject(world: World, service: LoginService):
    await world.store(service.url)

    seen = await asyncio.gather(*(world.log_in("testuser", "secret", f"client{n}") for n in range(20)))

    assert len({user.subject.id for user in seen}) == 1
    assert UUID(seen[0].subject.id).version == 4
    count = select(func.count()).select_from(subjects)
    assert await world.database.read(lambda c: c.execute(count).scalar_one()) == 1


async def test_the_same_person_in_two_organizations_is_two_subjects(world: World):
    other = await a_world(world.database, name="other_company")
    await world.user("bob")
    await other.user("bob")

    subjects_seen = {(await w.log_in("bob")).subject.id for w in (world, other)}

    assert len(subjects_seen) == 2
    await other.authentication.close()


async def test_standing_says_when_the_password_was_checked_and_what_the_store_can_tell(
    world: World, service: LoginService
):
    await world.user("bob")
    await world.store(service.url)

    here = await standing(world, (await world.log_in("bob")).subject.id)
    there = await standing(world, (await world.log_in("testuser", "secret")).subject.id)

    assert (here.is_kept_here, there.is_kept_here) == (True, False)
    assert here.may_continue
    assert there.may_continue
    assert abs((world.clock() - there.password_checked_at).total_seconds()) < 60


async def test_disabling_ends_standing_and_the_tokens_that_are_out(world: World):
    await world.user("bob")
    subject = (await world.log_in("bob")).subject
    before = await minimum(world, subject.id)

    await world.database.write(lambda c: disable_user(c, world.organization.id, "bob", world.clock))

    assert (await standing(world, subject.id)).problem is StandingProblem.DISABLED
    assert await minimum(world, subject.id) > before
    with pytest.raises(LoginRefused):
        await world.log_in("bob")
    await world.database.write(lambda c: enable_user(c, world.organization.id, "bob"))
    assert (await standing(world, (await world.log_in("bob")).subject.id)).may_continue


async def test_a_person_of_an_outside_store_can_be_disabled(world: World, service: LoginService):
    await world.store(service.url)
    subject = (await world.log_in("testuser", "secret")).subject

    await world.database.write(lambda c: disable_subject(c, world.organization.id, subject.id, world.clock))

    with pytest.raises(LoginRefused):
        await world.log_in("testuser", "secret")


async def test_a_deleted_user_has_no_standing(world: World):
    await world.user("bob")
    subject = (await world.log_in("bob")).subject

    await world.database.write(lambda c: delete_user(c, world.organization.id, "bob"))

    assert (await standing(world, subject.id)).problem is StandingProblem.UNKNOWN
    assert await minimum(world, subject.id) > 0


async def test_people_of_a_deleted_store_have_no_standing_and_a_new_store_has_new_people(
    world: World, service: LoginService
):
    await world.store(service.url)
    before = (await world.log_in("testuser", "secret")).subject

    await world.database.write(lambda c: delete_user_store(c, world.organization.id, "external", no_clients))
    with pytest.raises(LoginRefused):
        await world.log_in("testuser", "secret")
    assert (await standing(world, before.id)).problem is StandingProblem.UNKNOWN
    assert await minimum(world, before.id) > 0

    await world.store(service.url)
    assert (await world.log_in("testuser", "secret")).subject.id != before.id


async def test_another_organizations_subject_has_no_standing_here(world: World):
    other = await a_world(world.database, name="other_company")
    await other.user("bob")
    subject = (await other.log_in("bob")).subject

    assert (await standing(world, subject.id)).problem is StandingProblem.UNKNOWN
    await other.authentication.close()
