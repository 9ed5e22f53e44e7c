"""What a directory can answer and what goes wrong with it, at a real OpenLDAP server."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
from tests.support.identity import until

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import PasswordHasher
from ostiary.identity.model import StoreOptions
from ostiary.identity.user_stores.contract import Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.ldap.groups import MOST_GROUPS
from ostiary.identity.user_stores.ldap.service import LDAPService, make_ldap
from ostiary.identity.user_stores.ldap.settings import LDAPSettings
from ostiary.identity.user_stores.steps import watched
from ostiary.identity.user_stores.surroundings import Surroundings

HASHER = PasswordHasher()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[DirectoryServer]:
    made = DirectoryServer(tmp_path_factory.mktemp("slapd"), authority)
    made.load([person(f"member{number}") for number in range(60)])
    made.start()
    made.add(
        group("sales", "testuser") + "\ndescription: Who sells",
        group("staff", f"cn=sales,{GROUPS}", f"cn=circle,{GROUPS}"),
        group("circle", f"cn=staff,{GROUPS}"),
        group("stars *)(cn=x", "testuser") + "\ndescription: Who shines",
        person("a*b)(uid=c"),
        person("twin1", "secret", "mail: twin@corp.example"),
        person("twin2", "secret", "mail: twin@corp.example"),
        person("jörg", "secret"),
    )
    yield made
    made.stop()


class Directory:
    """Adapters of one server."""

    def __init__(self, server: DirectoryServer, authority: Authority) -> None:
        self.server, self.authority = server, authority
        self._made: list[LDAPService] = []

    def settings(self, **changes: Any) -> LDAPSettings:
        usual = {
            "urls": [self.server.tls_url],
            "ca": self.authority.ca,
            "bind": {"dn": READER, "password": READER_PASSWORD},
            "users": {"base": PEOPLE},
        }
        return LDAPSettings.read({k: v for k, v in (usual | changes).items() if v is not None})  # type: ignore[return-value]

    def store(
        self, policy: OutboundPolicy | None = None, timeout_ms: int = 2000, **changes: Any
    ) -> LDAPService:
        around = Surroundings(policy or OutboundPolicy(), HASHER, StoreOptions(timeout_ms=timeout_ms))
        made = make_ldap(self.settings(**changes), around)
        self._made.append(made)
        return made

    async def close(self) -> None:
        for store in self._made:
            await store.close()


@pytest.fixture
async def directory(server: DirectoryServer, authority: Authority) -> AsyncIterator[Directory]:
    made = Directory(server, authority)
    yield made
    await made.close()


async def ask(store: LDAPService, name: str = "testuser", password: str = "secret") -> str:
    """What came of it, in a few words."""
    try:
        record = await store.authenticate(name, SecretStr(password))
    except Refused as refusal:
        return "certainly refused" if refusal.certain else "refused"
    except StoreUnavailable as outage:
        return f"unavailable: {outage.reason}"
    return "unknown" if record is None else "accepted"


async def record_of(store: LDAPService, name: str = "testuser") -> UserRecord:
    record = await store.authenticate(name, SecretStr("secret"))
    assert record is not None
    return record


async def test_a_person_has_the_directorys_id_and_claims(directory: Directory):
    store = directory.store(claims={"email": "mail", "family_name": "sn", "phone": "telephoneNumber"})

    record = await record_of(store)

    assert len(record.immutable_id) == 36
    assert record.claims == {"email": "testuser@corp.example", "family_name": "Person"}


@pytest.mark.parametrize("how", ["ldaps", "start_tls", "loopback"])
async def test_it_is_reached_over_tls_or_on_this_machine(directory: Directory, how: str):
    plain = {"urls": [directory.server.url], "ca": directory.authority.ca}
    changes: dict[str, Any] = {"ldaps": {}, "start_tls": {**plain, "start_tls": True}, "loopback": plain}[how]

    with watched() as steps:
        assert await ask(directory.store(**changes)) == "accepted"

    connected = next(step.facts["tls"] for step in steps.found if step.what == "connected")
    assert (connected is None) is (how == "loopback")


async def test_a_certificate_of_another_authority_is_refused(directory: Directory):
    for changes in ({"ca": Authority().ca}, {"ca": None}):
        said = await ask(directory.store(**changes))
        assert said.startswith("unavailable: ldaps://127.0.0.1")
        assert "its certificate is not trusted" in said


@pytest.mark.parametrize("start_tls", [False, True])
async def test_a_certificate_for_another_host_is_refused(
    tmp_path: Path, authority: Authority, start_tls: bool
):
    elsewhere = DirectoryServer(tmp_path, authority, "dc1.corp.example").start()
    try:
        made = Directory(elsewhere, authority)
        url = elsewhere.url if start_tls else elsewhere.tls_url
        said = await ask(made.store(urls=[url], start_tls=start_tls))
    finally:
        elsewhere.stop()

    assert "its certificate is not trusted (IP address mismatch" in said


async def test_what_is_no_certificate_is_named(directory: Directory):
    assert await ask(directory.store(ca="nothing")) == "unavailable: 'ca' holds no certificates in PEM"


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("reset", "the password must be changed"),
        ("locked", "the account is locked"),
        ("nopassword", "Invalid credentials, code 49"),
    ],
)
async def test_an_account_that_may_not_log_in_is_refused_and_the_operator_told_why(
    directory: Directory, name: str, meaning: str
):
    with watched() as steps:
        assert await ask(directory.store(), name) == "certainly refused"

    assert [step.facts["meaning"] for step in steps.found if step.what == "refused"] == [meaning]


async def test_no_step_holds_the_password(directory: Directory):
    with watched() as steps:
        await ask(directory.store(), password="a-wrong-password")
        await ask(directory.store(dn_pattern=f"uid={{username}},{PEOPLE}"), password="a-wrong-password")

    assert "a-wrong-password" not in repr(steps.found)
    assert READER_PASSWORD not in repr(steps.found)


async def test_an_empty_password_of_the_service_account_never_becomes_an_anonymous_bind(directory: Directory):
    assert await ask(directory.store(bind={"dn": READER})) == "unavailable: its_password_is_not_set"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bind": {"dn": READER, "password": "wrong"}}, f"the service account {READER} is refused"),
        ({"users": {"base": f"ou=nowhere,{SUFFIX}"}}, "users.base: there is no ou=nowhere"),
        ({"users": {"base": PEOPLE, "id": "employeeNumber"}}, "users.id: the entry has no employeeNumber"),
        ({"users": {"base": PEOPLE, "filter": "(mail=*{username}*)"}}, "users.filter finds several entries"),
        ({"groups": {"base": f"ou=nowhere,{SUFFIX}"}}, "groups cannot be read"),
        ({"urls": ["ldaps://127.0.0.1:1"]}, "ldaps://127.0.0.1:1: nobody answers"),
        ({"urls": ["ldaps://no-such-host.invalid"]}, "no-such-host.invalid does not resolve"),
        ({"urls": ["ldaps://169.254.169.254"]}, "address_refused"),
    ],
)
async def test_what_an_administrator_set_wrong_is_named(
    directory: Directory, changes: dict[str, Any], reason: str
):
    said = await ask(directory.store(**changes), "twin1" if "mail" in str(changes) else "testuser")
    if "filter" in str(changes):
        said = await ask(directory.store(**changes), "twin")

    assert said.startswith(f"unavailable: {reason}")


async def test_two_people_of_one_name_are_nobody(directory: Directory):
    by_mail = directory.store(users={"base": PEOPLE, "filter": "(mail={username})"})

    assert (await ask(by_mail, "twin@corp.example")).startswith("unavailable: users.filter finds several")
    assert (await record_of(by_mail, "testuser@corp.example")).username == "testuser"


async def test_the_same_person_is_the_same_whatever_was_typed(directory: Directory):
    either = "(|(uid={username})(mail={username}))"
    store = directory.store(users={"base": PEOPLE, "filter": either})

    records = [await record_of(store, name) for name in ("testuser", "TESTUSER", "testuser@corp.example")]

    assert records == [records[0]] * 3


GROUP_WAYS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "by search": ({"base": GROUPS}, {"sales", "stars *)(cn=x"}),
    "by member_of": ({"member_of": "memberOf"}, {"sales", "stars *)(cn=x"}),
    "nested, in a circle": ({"base": GROUPS, "nested": True}, {"sales", "stars *)(cn=x", "staff", "circle"}),
    "nested, from member_of": (
        {"base": GROUPS, "member_of": "memberOf", "nested": True},
        {"sales", "stars *)(cn=x", "staff", "circle"},
    ),
    "by another attribute": ({"member_of": "memberOf", "name": "description"}, {"Who sells", "Who shines"}),
}


@pytest.mark.parametrize("way", GROUP_WAYS)
async def test_groups_are_found(directory: Directory, way: str):
    how, names = GROUP_WAYS[way]

    assert (await record_of(directory.store(groups=how))).groups == names


async def test_more_groups_than_the_servers_limit_are_read_by_pages(directory: Directory):
    """The server answers at most 50 entries at once; what is missing would be missing permissions."""
    store = directory.store(
        groups={"base": PEOPLE, "filter": "(|(member={dn})(objectClass=person))", "name": "uid"}
    )

    assert len((await record_of(store)).groups) > 60


async def test_too_many_groups_are_refused_rather_than_cut(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ostiary.identity.user_stores.ldap.groups.MOST_GROUPS", 10)
    store = directory.store(
        groups={"base": PEOPLE, "filter": "(|(member={dn})(objectClass=person))", "name": "uid"}
    )

    assert (await ask(store)).startswith("unavailable: more than 10 groups")
    assert MOST_GROUPS == 1000


@pytest.mark.parametrize("pattern", [None, f"uid={{username}},{PEOPLE}"])
@pytest.mark.parametrize("name", ["a*b)(uid=c", "jörg"])
async def test_a_name_with_characters_of_filters_and_dns_is_found(
    directory: Directory, name: str, pattern: str | None
):
    store = directory.store(dn_pattern=pattern)

    assert await ask(store, name) == "accepted"
    assert (await record_of(store, name)).username == name


NAMES = st.text(
    st.sampled_from("*()\\&|!=~<>,+\"#;/ '{}usernamdtei\u00e9\u0130")
    | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=20,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_no_name_becomes_part_of_a_filter_or_a_dn(server: DirectoryServer, authority: Authority, name: str):
    """Whatever is typed finds the person of just that name, or nobody."""

    async def found() -> set[str]:
        directory = Directory(server, authority)
        stores = [directory.store(), directory.store(dn_pattern=f"uid={{username}},{PEOPLE}")]
        try:
            return {await ask(store, name) for store in stores}
        finally:
            await directory.close()

    if name.strip(" ").casefold() not in ("testuser", "reset", "locked", "nopassword", "jörg"):
        assert asyncio.run(found()) <= {"unknown", "refused"}


async def test_a_connection_that_the_server_closed_is_made_again(tmp_path: Path, authority: Authority):
    server = DirectoryServer(tmp_path, authority).start()
    store = Directory(server, authority).store()
    assert await ask(store) == "accepted"

    server.stop()
    server.start()

    assert await ask(store) == "accepted"
    server.stop()
    assert (await ask(store)).startswith("unavailable: ldaps://")
    await store.close()


@pytest.mark.parametrize("first", ["closed", "silent", "another authority's"])
async def test_the_next_server_answers_where_the_first_does_not(
    tmp_path: Path, directory: Directory, first: str
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        other = DirectoryServer(tmp_path, Authority())
        urls = {
            "closed": "ldaps://127.0.0.1:1",
            "silent": f"ldaps://127.0.0.1:{silent.getsockname()[1]}",
            "another authority's": other.tls_url,
        }
        other.start()
        store = directory.store(urls=[urls[first], directory.server.tls_url], timeout_ms=3000)
        loop = asyncio.get_running_loop()
        try:
            began = loop.time()
            assert [await ask(store) for _ in range(3)] == ["accepted"] * 3
            took = loop.time() - began
        finally:
            other.stop()

    assert took < 3  # a server that does not answer has its share once, and is asked last from then on


async def test_a_wrong_password_is_tried_at_one_server_alone(directory: Directory):
    store = directory.store(urls=[directory.server.tls_url, directory.server.url])
    asked = f'BIND dn="uid=testuser,{PEOPLE}" method='
    before = directory.server.log.count(asked)

    assert await ask(store, password="wrong") == "certainly refused"

    assert directory.server.log.count(asked) == before + 1


async def test_a_referral_is_not_followed(directory: Directory, server: DirectoryServer):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        entry = f"dn: cn=trap,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\ncn: trap\n"
        server.add(f"{entry}ref: ldap://127.0.0.1:{trap.getsockname()[1]}/{PEOPLE}")

        assert await ask(directory.store(), "nobody-here") == "unknown"
        with pytest.raises(TimeoutError):
            trap.accept()


async def test_many_log_in_at_once(directory: Directory):
    store = directory.store(groups={"base": GROUPS}, timeout_ms=20_000)

    said = await asyncio.gather(*(ask(store, f"member{number % 60}") for number in range(120)))

    assert said == ["accepted"] * 120


async def test_nobody_is_listed_to_log_in(directory: Directory):
    before = len(directory.server.log)
    await ask(directory.store())

    searches = [
        line for line in directory.server.log[before:].splitlines() if " SRCH " in line and "filter=" in line
    ]
    assert len(searches) == 1
    assert "(uid=testuser)" in searches[0]
    await until(lambda: "nentries=1" in directory.server.log[before:])  # it answers, and writes then


async def test_a_probe_says_whether_it_can_be_asked(directory: Directory):
    await directory.store().probe()

    for changes in (
        {"users": {"base": f"ou=nowhere,{SUFFIX}"}},
        {"bind": {"dn": READER, "password": "wrong"}},
    ):
        with pytest.raises(StoreUnavailable):
            await directory.store(**changes).probe()
