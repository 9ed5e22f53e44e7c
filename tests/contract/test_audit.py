"""The audit log on both databases: chained, signed, verifiable after a person is erased; attacks are seen."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, delete, insert, select, update

from ostiary.foundation.audit import (
    Actor,
    Origin,
    Personal,
    PersonKeys,
    Wanted,
    acting,
    chain_staged,
    drop_older,
    named,
    note,
    note_unless_noted,
    read_records,
    sign_checkpoints,
    verify_chain,
)
from ostiary.foundation.audit.chaining import canonical, digest
from ostiary.foundation.audit.tables import (
    audit_checkpoints,
    audit_log,
    audit_person_keys,
    audit_signing_keys,
    audit_staged,
)
from ostiary.foundation.database import Database, ending_writes
from ostiary.foundation.secrets import SecretBox

BOX = SecretBox(b"k" * 32)
ORG, OTHER = "o-1", "o-2"
NOW = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
JANE = Actor("user", "s-jane", name="jane@acme")


@dataclass(frozen=True)
class Thing:
    """Something with everything a thing may have."""

    id: str
    organization_id: str
    name: str
    secret_hash: str | None = field(default=None, repr=False)
    password: SecretStr | None = None
    lifetime: timedelta | None = None
    labels: frozenset[str] = frozenset()


def a_thing(**changes: Any) -> Thing:
    return Thing(**({"id": "t-1", "organization_id": ORG, "name": "one"} | changes))


async def noted(database: Database, times: int, organization: str = ORG) -> None:
    """Note and chain as many changes."""

    def unit(connection: Connection) -> None:
        for number in range(times):
            note(connection, organization, "thing", f"t-{number}", None, {"number": number})

    await database.write(unit)
    await chained(database)


async def chained(database: Database) -> None:
    while await database.write(lambda connection: chain_staged(connection, BOX)):
        pass


async def records(database: Database, organization: str = ORG, **wanted: Any) -> list[dict[str, Any]]:
    return await database.read(lambda c: list(read_records(c, BOX, organization, Wanted(**wanted))))


async def problem(database: Database) -> str | None:
    return (await database.read(lambda connection: verify_chain(connection, BOX, ORG))).problem


async def everything_stored(database: Database) -> str:
    tables = (audit_staged, audit_log, audit_person_keys, audit_signing_keys, audit_checkpoints)
    return await database.read(lambda c: str([c.execute(select(table)).all() for table in tables]))


async def test_a_change_is_noted_with_who_what_and_where(database: Database) -> None:
    origin = Origin(JANE, "r-1", "203.0.113.9", "PUT /things/{id}")
    before, after = a_thing(lifetime=HOUR, labels=frozenset("ab")), a_thing(lifetime=2 * HOUR)

    with acting(lambda: origin):
        await database.write(lambda c: note(c, ORG, "thing", "t-1", before, after))
    await chained(database)

    (record,) = await records(database)
    at, previous, hash = record.pop("at"), record.pop("previous"), record.pop("hash")
    assert datetime.fromisoformat(at).tzinfo is not None
    assert (previous, len(hash)) == ("0" * 64, 64)
    assert record == {
        "sequence": 1,
        "organization": ORG,
        "action": "thing.changed",
        "outcome": "done",
        "actor": {"kind": "user", "id": "s-jane", "name": "jane@acme", "address": "203.0.113.9"},
        "operation": "PUT /things/{id}",
        "request_id": "r-1",
        "target": {"kind": "thing", "id": "t-1"},
        "before": {"lifetime": 3600, "labels": ["a", "b"]},
        "after": {"lifetime": 7200, "labels": []},
    }


async def test_what_is_rolled_back_is_not_noted(database: Database) -> None:
    def unit(connection: Connection) -> None:
        note(connection, ORG, "thing", "t-1", None, {"a": 1})
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(unit)
    await noted(database, 1)

    assert len(await records(database)) == 1


async def test_no_secret_of_a_thing_is_noted_and_a_new_one_is_seen(database: Database) -> None:
    old = a_thing(secret_hash="marker-hash-1", password=SecretStr("marker-pass-1"))
    new = a_thing(secret_hash="marker-hash-2", password=SecretStr("marker-pass-2"))

    await database.write(lambda c: note(c, ORG, "thing", "t-1", old, new))
    await database.write(lambda c: note(c, ORG, "thing", "t-1", new, None))
    waiting = await everything_stored(database)
    await chained(database)

    assert "marker" not in waiting + await everything_stored(database)
    changed, deleted = await records(database)
    assert changed["before"] == changed["after"] == {"secret_hash": "(hidden)", "password": "(hidden)"}
    assert deleted["before"]["secret_hash"] == "(hidden)"


async def test_the_end_of_a_request_s_writes_is_told_whether_anything_was_noted(database: Database) -> None:
    with acting(lambda: Origin(JANE)), ending_writes(lambda connection: note_unless_noted(connection, ORG)):
        await database.write(lambda connection: None)
        await database.write(lambda connection: note(connection, ORG, "thing", "t-1", None, {}))
        await database.write(lambda connection: None)
    await chained(database)

    actions = [record["action"] for record in await records(database)]
    assert actions == ["request.answered", "thing.created", "request.answered"]


async def test_organizations_have_chains_of_their_own(database: Database) -> None:
    await noted(database, 3)
    await noted(database, 2, OTHER)
    await noted(database, 1)

    assert [record["sequence"] for record in await records(database)] == [1, 2, 3, 4]
    assert [record["sequence"] for record in await records(database, OTHER)] == [1, 2]
    assert await problem(database) is None


async def test_several_writers_at_once_chain_each_record_once(database: Database) -> None:
    for number in range(40):
        await database.write(lambda c, n=number: note(c, ORG, "thing", str(n), None, {}))  # type: ignore[misc]

    await asyncio.gather(*(database.write(lambda c: chain_staged(c, BOX, at_once=7)) for _ in range(12)))

    assert sorted(r["target"]["id"] for r in await records(database)) == sorted(map(str, range(40)))
    assert await problem(database) is None


async def test_a_person_is_erased_by_destroying_a_key(database: Database) -> None:
    """Whoever acted, whoever was acted on, whoever is named in something: and the chain stays as it was."""
    member = {"members": [Personal(named("CORP", "john"), "marker-john"), "group CORP/sales"]}
    with acting(lambda: Origin(Actor("user", "s-jane", name="marker-jane"), "r-1", "192.0.2.77")):
        await database.write(lambda c: note(c, ORG, "role", "r", None, member))
        await database.write(
            lambda c: note(c, ORG, "user", "s-jane", None, {"claims": Personal("s-jane", {"a": "marker"})})
        )
    await chained(database)
    before = await records(database)
    assert before[0]["after"] == {"members": ["marker-john", "group CORP/sales"]}
    assert before[1]["after"] == {"claims": {"a": "marker"}}

    def erase(connection: Connection) -> None:
        keys = PersonKeys(connection, BOX, ORG)
        keys.forget("s-jane")
        keys.forget(named("CORP", "john"))

    await database.write(erase)

    after = await records(database)
    assert [r["hash"] for r in after] == [r["hash"] for r in before]
    gone = {"$erased": True}
    assert after[0]["actor"] == {"kind": "user", "id": "s-jane", "name": gone, "address": gone}
    assert after[0]["after"] == {"members": [gone, "group CORP/sales"]}
    assert after[1]["after"] == {"claims": gone}
    stored = await everything_stored(database)
    assert "marker" not in stored
    assert "john" not in stored
    assert await problem(database) is None


async def test_who_comes_again_after_being_erased_gets_another_key(database: Database) -> None:
    with acting(lambda: Origin(JANE)):
        await noted(database, 1)
        await database.write(lambda c: PersonKeys(c, BOX, ORG).forget("s-jane"))
        await noted(database, 1)

    first, second = await records(database)
    assert (first["actor"]["name"], second["actor"]["name"]) == ({"$erased": True}, "jane@acme")


async def test_a_value_that_looks_like_a_sealed_one_is_harmless(database: Database) -> None:
    forged = {"a": {"$person": "s-x", "$sealed": "AAAA"}, "b": {"$person": "s-x", "$value": "v"}}

    await database.write(lambda c: note(c, ORG, "thing", "t", None, forged))
    await chained(database)

    (record,) = await records(database)
    assert record["after"] == {"a": {"$erased": True}, "b": "v"}


ATTACKS: dict[str, tuple[Callable[[Connection], object], str]] = {
    "alter": (
        lambda c: c.execute(update(audit_log).where(audit_log.c.sequence == 3).values(document="{}")),
        "record 3 was altered",
    ),
    "alter with its hash": (
        lambda c: c.execute(
            update(audit_log)
            .where(audit_log.c.sequence == 3)
            .values(document="[1]", hash=digest("[1]"))
        ),
        "record 3 belongs to another place",
    ),
    "alter with its hash and place": (lambda c: _rewrite(c, 3), "record 4 does not follow on record 3"),
    "remove one": (
        lambda c: c.execute(delete(audit_log).where(audit_log.c.sequence == 3)),
        "record 4 does not follow on record 2",
    ),
    "remove the beginning": (
        lambda c: c.execute(delete(audit_log).where(audit_log.c.sequence <= 2)),
        "records before 3 are missing",
    ),
    "remove the end": (
        lambda c: c.execute(delete(audit_log).where(audit_log.c.sequence >= 4)),
        "records 4 to 5 are missing: record 5 was signed",
    ),
    "remove everything": (lambda c: c.execute(delete(audit_log)), "records 1 to 5 are missing"),
    "write all of it anew": (
        lambda c: [_rewrite(c, n) for n in range(1, 6)],
        "is not the one that was signed",
    ),
    "say that the beginning may be missing": (
        lambda c: (
            c.execute(delete(audit_log).where(audit_log.c.sequence <= 5)),
            c.execute(update(audit_checkpoints).values(is_beginning=True)),
        ),
        "the checkpoint at 5 is not signed by the organization",
    ),
    "put another key there": (
        lambda c: c.execute(update(audit_signing_keys).values(sealed_key="AAAA")),
        "the key that signs is not this installation's",
    ),
}  # fmt: skip


def _rewrite(connection: Connection, sequence: int) -> None:
    """As somebody does who knows how the chain is made, and not the installation's key."""
    at = audit_log.c.sequence
    previous = connection.execute(select(audit_log.c.hash).where(at == sequence - 1)).scalar() or "0" * 64
    document = orjson.loads(
        connection.execute(select(audit_log.c.document).where(at == sequence)).scalar_one()
    )
    text = canonical({**document, "action": "forged", "previous": previous})
    connection.execute(update(audit_log).where(at == sequence).values(document=text, hash=digest(text)))


@pytest.mark.parametrize("attack", ATTACKS)
async def test_whoever_changes_the_chain_is_seen(database: Database, attack: str) -> None:
    await noted(database, 5)
    await database.write(lambda c: sign_checkpoints(c, BOX, NOW, HOUR))
    assert await problem(database) is None
    do, seen = ATTACKS[attack]

    await database.write(do)

    assert seen in str(await problem(database))


async def test_the_head_of_a_chain_that_grew_is_signed_now_and_then(database: Database) -> None:
    await noted(database, 2)

    assert await database.write(lambda c: sign_checkpoints(c, BOX, NOW, HOUR))
    assert await database.write(lambda c: sign_checkpoints(c, BOX, NOW + 2 * HOUR, HOUR)) == []
    await noted(database, 1)
    assert await database.write(lambda c: sign_checkpoints(c, BOX, NOW + HOUR / 2, HOUR)) == []
    assert await database.write(lambda c: sign_checkpoints(c, BOX, NOW + HOUR, HOUR))

    verdict = await database.read(lambda c: verify_chain(c, BOX, ORG))
    assert (verdict.records, verdict.checkpoints, verdict.problem) == (3, 2, None)


async def test_old_records_go_up_to_a_signed_checkpoint_and_the_rest_verifies(database: Database) -> None:
    await noted(database, 3)
    await database.write(lambda c: sign_checkpoints(c, BOX, NOW, HOUR))
    await noted(database, 2)
    await database.write(lambda c: sign_checkpoints(c, BOX, NOW + HOUR, HOUR))

    assert await database.write(lambda c: drop_older(c, BOX, NOW - HOUR)) == 0
    assert await database.write(lambda c: drop_older(c, BOX, NOW)) == 3
    assert await database.write(lambda c: drop_older(c, BOX, NOW)) == 0

    assert [record["sequence"] for record in await records(database)] == [4, 5]
    assert await problem(database) is None
    await database.write(lambda c: c.execute(delete(audit_log).where(audit_log.c.sequence == 4)))
    assert "records before 5 are missing" in str(await problem(database))


async def test_a_chain_whose_records_are_all_dropped_goes_on_where_it_was(database: Database) -> None:
    await noted(database, 2)
    await database.write(lambda c: sign_checkpoints(c, BOX, NOW, HOUR))
    await database.write(lambda c: drop_older(c, BOX, NOW))
    assert await problem(database) is None

    await noted(database, 1)

    assert [record["sequence"] for record in await records(database)] == [3]
    assert await problem(database) is None


async def test_records_are_read_in_pages_and_by_whom_they_concern(database: Database) -> None:
    with acting(lambda: Origin(JANE, "r-7")):
        await noted(database, 3)
    await noted(database, 2)

    assert [r["sequence"] for r in await records(database, after=1, limit=2)] == [2, 3]
    assert [r["sequence"] for r in await records(database, concerning="s-jane")] == [1, 2, 3]
    assert [r["sequence"] for r in await records(database, concerning="t-1")] == [2, 5]
    assert len(await records(database, request_id="r-7")) == 3
    assert await records(database, OTHER) == []


async def test_a_record_that_waits_and_is_no_record_stops_nobody_else(database: Database) -> None:
    """Nothing of ours writes one; an older or newer version might."""
    await database.write(
        lambda c: c.execute(insert(audit_staged), {"organization_id": ORG, "document": "{}"})
    )

    await noted(database, 1)

    assert [record["sequence"] for record in await records(database)] == [1, 2]
