"""Attacks by people who may make groups somewhere in a directory: look-alikes give nothing."""

import base64
import unicodedata
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.certificates import Authority
from tests.support.directory_server import (
    GROUPS,
    PEOPLE,
    READER,
    READER_PASSWORD,
    SUFFIX,
    DirectoryServer,
    group,
    person,
)

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import PasswordHasher
from ostiary.identity.user_stores.contract import UserRecord
from ostiary.identity.user_stores.ldap.service import LDAPService, make_ldap
from ostiary.identity.user_stores.ldap.settings import LDAPSettings
from ostiary.identity.user_stores.surroundings import Surroundings

ELSEWHERE = f"ou=elsewhere,{GROUPS}"
OUTSIDE = f"ou=outside,{SUFFIX}"
LOOK_ALIKES = {
    "the same": ("plain", "plain"),
    "another case": ("cased", "Cased"),
    "a space behind": ("spaced", "spaced "),
    "two spaces within": ("two words", "two  words"),
    "full width": ("wide", "ｗｉｄｅ"),
    "decomposed": ("équipe", unicodedata.normalize("NFD", "équipe")),
    "ligature": ("staff", "staﬀ"),
}


def entry(name: str, member: str, place: str = ELSEWHERE, rdn: str = "", ou: str = "") -> str:
    """A group of any name anywhere; `rdn` is another value that its DN is made of."""
    text = base64.b64encode(name.encode()).decode()
    at = base64.b64encode(f"{'ou=' + ou if ou else 'cn=' + (rdn or name.strip())},{place}".encode()).decode()
    more = [f"ou: {ou}"] if ou else [f"cn: {rdn}"] if rdn else []
    lines = [f"dn:: {at}", "objectClass: groupOfNames", f"cn:: {text}", *more]
    return "\n".join([*lines, f"member: uid={member},{PEOPLE}"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[DirectoryServer]:
    made = DirectoryServer(tmp_path_factory.mktemp("slapd"), authority)
    made.load([person("mallory"), person("honest")])
    made.start()
    made.add(
        f"dn: {ELSEWHERE}\nobjectClass: organizationalUnit\nou: elsewhere",
        f"dn: {OUTSIDE}\nobjectClass: organizationalUnit\nou: outside",
        *(entry(real, "honest", GROUPS) for real, _ in LOOK_ALIKES.values()),
        *(entry(fake, "mallory") for _, fake in LOOK_ALIKES.values()),
        group("alone", "honest", "mallory"),
        group("second-name", "honest"),
        entry("second-name", "mallory", rdn="innocent"),
        group("shadowed", "honest"),
        entry("shadowed", "mallory", OUTSIDE),
        group("person", "honest"),
        f"dn: cn=person,{ELSEWHERE}\nobjectClass: organizationalRole\ncn: person",
    )
    yield made
    made.stop()


class Clock:
    """Seconds that pass when they are told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make(server: DirectoryServer, authority: Authority, clock: Clock) -> AsyncIterator[Any]:
    around = Surroundings(OutboundPolicy(), PasswordHasher(), monotonic=clock)
    made: list[LDAPService] = []

    def store(**groups: Any) -> LDAPService:
        settings = LDAPSettings.read(
            {
                "urls": [server.tls_url],
                "ca": authority.ca,
                "bind": {"dn": READER, "password": READER_PASSWORD},
                "users": {"base": PEOPLE},
                "groups": groups,
            }
        )
        made.append(make_ldap(settings, around))  # type: ignore[arg-type]
        return made[-1]

    yield store
    for one in made:
        await one.close()


async def record_of(store: LDAPService, name: str) -> UserRecord:
    record = await store.authenticate(name, SecretStr("secret"))
    assert record is not None
    return record


WAYS: dict[str, dict[str, Any]] = {
    "by search": {"base": GROUPS},
    "by any of two attributes": {"base": GROUPS, "filter": "(|(member={dn})(uniqueMember={dn}))"},
    "by a matching rule": {"base": GROUPS, "filter": "(member:distinguishedNameMatch:={dn})"},
    "nested": {"base": GROUPS, "nested": True},
    "by member_of": {"base": GROUPS, "member_of": "memberOf"},
    "by member_of, anywhere": {"member_of": "memberOf"},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
async def test_a_name_that_two_groups_could_have_gives_nobody_anything(make: Any, way: str):
    """The one who made the look-alike least of all; the operator is told which names they are."""
    store = make(**WAYS[way])

    honest, mallory = await record_of(store, "honest"), await record_of(store, "mallory")

    kept = {"alone", "person"} | ({"shadowed"} if "anywhere" not in way else set())
    assert honest.groups == kept
    assert {real for real, _ in LOOK_ALIKES.values()} <= honest.ambiguous_groups
    assert mallory.groups - {"innocent"} == {"alone"}
    assert "plain" in mallory.ambiguous_groups


async def test_a_group_that_becomes_ambiguous_gives_new_members_nothing_and_others_a_minute(
    make: Any, server: DirectoryServer, clock: Clock
):
    server.add(group("lone", "honest"))
    store = make(base=GROUPS)
    before = (await record_of(store, "honest")).groups
    server.add(entry("lone", "mallory"))

    of_mallory = (await record_of(store, "mallory")).groups
    clock.now += 61
    after = await record_of(store, "honest")

    assert "lone" in before
    assert "lone" not in of_mallory | after.groups
    assert "lone" in after.ambiguous_groups


async def test_a_flood_of_look_alikes_stops_nobody_from_logging_in(make: Any, server: DirectoryServer):
    """More of them than are ever read: the name is ambiguous all the same, and no login fails for it."""
    server.add(group("flooded", "honest"))
    server.add(*(entry("flooded", "mallory", rdn=f"drop{number}") for number in range(120)))

    record = await record_of(make(base=GROUPS), "honest")

    assert "flooded" in record.ambiguous_groups
    assert "alone" in record.groups
