"""Looking people up without a password, at a real OpenLDAP server: what only a directory can do wrong."""

import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.certificates import Authority
from tests.support.directory_server import (
    GROUPS,
    PEOPLE,
    READER,
    READER_PASSWORD,
    DirectoryServer,
    group,
    person,
)
from tests.support.identity import until

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import PasswordHasher
from ostiary.identity.errors import InvalidUserStore
from ostiary.identity.user_stores.contract import KnownUser, Refused, StoreUnavailable, UserRecord
from ostiary.identity.user_stores.ldap.service import LDAPService, make_ldap
from ostiary.identity.user_stores.ldap.settings import LDAPSettings
from ostiary.identity.user_stores.surroundings import Surroundings

HASHER = PasswordHasher()
NUMBERS = itertools.count(1)


class Stores:
    """Adapters of one server, closed at the end."""

    def __init__(self, server: DirectoryServer, authority: Authority) -> None:
        self._server, self._authority = server, authority
        self._made: list[LDAPService] = []

    def settings(self, **changes: Any) -> LDAPSettings:
        usual = {
            "urls": [self._server.tls_url],
            "ca": self._authority.ca,
            "bind": {"dn": READER, "password": READER_PASSWORD},
            "users": {"base": PEOPLE},
        }
        return LDAPSettings.read(usual | changes)  # type: ignore[return-value]

    def store(self, **changes: Any) -> LDAPService:
        made = make_ldap(self.settings(**changes), Surroundings(OutboundPolicy(), HASHER))
        self._made.append(made)
        return made

    async def close(self) -> None:
        for one in self._made:
            await one.close()


@pytest.fixture
async def stores(directory: DirectoryServer, authority: Authority) -> AsyncIterator[Stores]:
    made = Stores(directory, authority)
    yield made
    await made.close()


@pytest.fixture
def name(directory: DirectoryServer) -> str:
    """Somebody of this test's own."""
    made = f"somebody{next(NUMBERS)}"
    directory.add(person(made))
    return made


async def log_in(store: LDAPService, name: str) -> UserRecord:
    record = await store.authenticate(name, SecretStr("secret"))
    assert record is not None
    return record


def known(record: UserRecord) -> KnownUser:
    return KnownUser(record.immutable_id, record.username, record.username)


async def test_one_search_for_one_entry_and_nobody_is_listed(
    stores: Stores, directory: DirectoryServer, name: str
):
    store = stores.store()
    record = await log_in(store, name)
    before = len(directory.log)

    await store.look_up(known(record))

    lines = directory.log[before:].splitlines()
    searches = [line for line in lines if " SRCH " in line and "filter=" in line]
    assert len(searches) == 1
    assert f"(entryUUID={record.immutable_id})" in searches[0]
    assert not [line for line in lines if " BIND " in line]
    (operation,) = re.findall(r"conn=\d+ op=\d+", searches[0])
    found = re.compile(rf"{operation} SEARCH RESULT .*nentries=1\b")
    await until(lambda: found.search(directory.log) is not None)  # it answers, and writes then


async def test_somebody_who_is_renamed_is_found_under_the_new_name(
    stores: Stores, directory: DirectoryServer, name: str
):
    store = stores.store(groups={"base": GROUPS})
    directory.add(group(f"of-{name}", name))
    record = await log_in(store, name)
    directory.change(
        f"dn: uid={name},{PEOPLE}\nchangetype: modrdn\nnewrdn: uid={name}-new\ndeleteoldrdn: 1\n",
        f"dn: cn=of-{name},{GROUPS}\nchangetype: modify\nreplace: member\nmember: uid={name}-new,{PEOPLE}\n",
    )

    found = await store.look_up(known(record))

    assert found == UserRecord(record.immutable_id, f"{name}-new", frozenset({f"of-{name}"}))


async def test_groups_and_claims_are_those_of_now(stores: Stores, directory: DirectoryServer, name: str):
    store = stores.store(
        groups={"base": GROUPS, "filter": "(description={username})"}, claims={"email": "mail"}
    )
    record = await log_in(store, name)
    directory.add(f"dn: cn=posix-{name},{GROUPS}\nobjectClass: device\ncn: posix-{name}\ndescription: {name}")
    directory.change(f"dn: uid={name},{PEOPLE}\nchangetype: modify\nreplace: mail\nmail: new@corp.example\n")

    found = await store.look_up(known(record))

    assert found is not None
    assert (found.groups, found.claims) == ({f"posix-{name}"}, {"email": "new@corp.example"})


async def test_whom_the_filter_leaves_out_since_is_nobody(
    stores: Stores, directory: DirectoryServer, name: str
):
    """A login would not find them either."""
    users = {"base": PEOPLE, "filter": "(&(uid={username})(!(description=left)))"}
    store = stores.store(users=users)
    record = await log_in(store, name)
    directory.change(f"dn: uid={name},{PEOPLE}\nchangetype: modify\nadd: description\ndescription: left\n")

    assert await store.look_up(known(record)) is None


async def test_a_lock_by_wrong_passwords_ends_nothing(stores: Stores, directory: DirectoryServer, name: str):
    """Whoever knows a name could end its sessions; an administrator's lock is another matter."""
    store = stores.store()
    record = await log_in(store, name)
    directory.lock(name, "20200101000000Z")

    assert await store.look_up(known(record)) == record
    with pytest.raises(Refused):
        await store.authenticate(name, SecretStr("secret"))


async def test_who_has_to_change_the_password_is_refused(
    stores: Stores, directory: DirectoryServer, name: str
):
    store = stores.store()
    record = await log_in(store, name)
    directory.change(f"dn: uid={name},{PEOPLE}\nchangetype: modify\nadd: pwdReset\npwdReset: TRUE\n")

    with pytest.raises(Refused) as refusal:
        await store.look_up(known(record))

    assert refusal.value.meaning == "the password must be changed"


@pytest.mark.parametrize(
    "changes",
    [
        {"urls": ["ldaps://127.0.0.1:1"]},
        {"bind": {"dn": READER, "password": "wrong"}},
        {"users": {"base": "ou=nowhere,dc=corp,dc=example"}},
        {"groups": {"base": "ou=nowhere,dc=corp,dc=example"}},
    ],
)
async def test_what_cannot_be_asked_takes_nobody_for_gone(stores: Stores, changes: dict[str, Any]):
    record = await log_in(stores.store(), "testuser")

    with pytest.raises(StoreUnavailable):
        await stores.store(**changes).look_up(known(record))


async def test_a_server_that_was_restarted_is_asked_again(tmp_path: Path, authority: Authority):
    server = DirectoryServer(tmp_path, authority).start()
    made = Stores(server, authority)
    store = made.store()
    record = await log_in(store, "testuser")
    server.stop()
    with pytest.raises(StoreUnavailable):
        await store.look_up(known(record))
    server.start()

    found = await store.look_up(known(record))

    assert found == record
    server.stop()
    await made.close()


def test_a_pattern_outside_of_where_people_are_looked_up_is_refused(stores: Stores):
    """They would log in, and be taken for gone at the first refresh."""
    for pattern, is_right in (
        (f"uid={{username}},{PEOPLE}", True),
        (f"uid={{username}},OU=inner,{PEOPLE.upper()}", True),
        (f"uid={{username}},{GROUPS}", False),
        ("uid={username},dc=corp,dc=example", False),
    ):
        settings = stores.settings(dn_pattern=pattern)
        try:
            settings.check(None)
        except InvalidUserStore as error:
            told = error.field
        else:
            told = ""

        assert told == ("" if is_right else "dn_pattern")
