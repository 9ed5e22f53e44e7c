"""What an organization file turns on and off."""

from tests.http.declarative.files import apply, here, lines, the_example

from ostiary.foundation.database import Database
from ostiary.identity.challenges import QuestionSet, list_sets, remove_questions
from ostiary.identity.challenges.model import DEFAULT_SETS
from ostiary.identity.challenges.repository import question_sets


def with_features(*features: str, display_name: str = "My Company") -> dict[str, object]:
    content = the_example()
    content["organization"] |= {"features": list(features), "display_name": display_name}
    return content


async def questions(database: Database) -> tuple[QuestionSet, ...]:
    organization_id = await here(database)
    return await database.read(lambda c: question_sets(c, organization_id))


async def test_an_organization_has_no_challenge_questions_unless_its_file_turns_them_on(database: Database):
    await apply(database, the_example())
    assert await questions(database) == ()

    plans = await apply(database, with_features("challenge_questions"))

    assert lines(plans) == ["~ organization my_company"]
    assert not [notice for notice in plans[0].notices if "features" in notice]
    assert await questions(database) == DEFAULT_SETS
    assert lines(await apply(database, with_features("challenge_questions"))) == []


async def test_a_new_organization_begins_with_the_questions(sqlite_database: Database):
    await apply(sqlite_database, with_features("challenge_questions"))

    organization_id = await here(sqlite_database)
    assert await sqlite_database.read(lambda c: list_sets(c, organization_id)) == DEFAULT_SETS


async def test_questions_that_were_removed_do_not_come_back_with_another_change(sqlite_database: Database):
    await apply(sqlite_database, with_features("challenge_questions"))
    organization_id = await here(sqlite_database)
    for one in DEFAULT_SETS:
        await sqlite_database.write(lambda c, set_id=one.id: remove_questions(c, organization_id, set_id))

    await apply(sqlite_database, with_features("challenge_questions", display_name="Ours"))

    assert await questions(sqlite_database) == ()


async def test_turning_them_off_keeps_the_questions(sqlite_database: Database):
    await apply(sqlite_database, with_features("challenge_questions"))

    assert lines(await apply(sqlite_database, the_example())) == ["~ organization my_company"]

    assert await questions(sqlite_database) == DEFAULT_SETS
