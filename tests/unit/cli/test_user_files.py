"""Files with users: what is read of each form, and what is wrong with which line."""

import base64
import json
from pathlib import Path

import pytest

from ostiary.cli.errors import OperatorError
from ostiary.cli.user_files import Line, read_users
from ostiary.cli.users import batches

HASH = "pbkdf2_sha256$1000$salt$qN+JnzxPIE2WfgrWPAkph8EAVeuwF7PZ0ordIY1Peq0="


def lines(tmp_path: Path, name: str, text: str | bytes, form: str | None = None) -> list[Line]:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_users(file, form))


def test_a_csv_file_is_read_row_by_row(tmp_path: Path):
    head = "\ufeffusername,hash,disabled,claim:email"
    text = f'{head}\nbob,{HASH},,b@x\n"o\'brien",{HASH},true,\n=1+1,{HASH},no,\n'

    assert lines(tmp_path, "users.csv", text) == [
        Line(2, "bob", HASH, {"email": "b@x"}),
        Line(3, "o'brien", HASH, {}, disabled=True),
        Line(4, "=1+1", HASH),
    ]


@pytest.mark.parametrize(
    "text", ["", "name,hash\nbob,x\n", "username\nbob\n", "username,hash,role\nbob,x,admin\n"]
)
def test_csv_without_its_columns_is_refused_whole(tmp_path: Path, text: str):
    with pytest.raises(OperatorError, match="columns username, hash"):
        lines(tmp_path, "users.csv", text)


@pytest.mark.parametrize("row", ["bob", "bob,x,y", '"bob,x'])
def test_a_broken_row_is_a_line_with_a_problem(tmp_path: Path, row: str):
    (line,) = lines(tmp_path, "users.csv", f"username,hash\n{row}\n")

    assert line.problem


def test_an_ldif_file_has_people_and_others(tmp_path: Path):
    secret = base64.b64encode(b"{SSHA}a4Ss3zHTvSLmdvVwtvT9sgPGad7PPd11").decode()
    text = (
        "version: 1\n\n# people\ndn: uid=bob,dc=x\nuid: bob\nmail: b@x\nsn: Bob\n"
        f"userPassword:: {secret[:20]}\n {secret[20:]}\n\n"
        "dn: cn=group,dc=x\ncn: group\n\n"
        "dn: uid=eve,dc=x\nuid: eve\n\n"
        "dn: uid=old,dc=x\nuid: old\nuserPassword: {SSHA}x\npwdAccountLockedTime: 1\n"
    )

    bob, eve, old = lines(tmp_path, "users.ldif", text)

    assert bob == Line(
        4, "bob", "{SSHA}a4Ss3zHTvSLmdvVwtvT9sgPGad7PPd11", {"email": "b@x", "family_name": "Bob"}
    )
    assert (eve.username, "userPassword" in eve.problem) == ("eve", True)
    assert old.disabled


def test_a_keycloak_realm_has_users_with_credentials(tmp_path: Path):
    secret = {"type": "password", "credentialData": "{}", "secretData": "{}"}
    realm = {
        "users": [
            {"username": "bob", "email": "b@x", "enabled": False, "credentials": [{"type": "otp"}, secret]},
            {"username": "eve", "credentials": []},
            {"username": "odd", "credentials": ["x"]},
            "nobody",
        ]
    }

    bob, eve, odd, nobody = lines(tmp_path, "realm.json", json.dumps(realm), "keycloak")

    assert (bob.username, bob.claims, bob.disabled) == ("bob", {"email": "b@x"}, True)
    assert set(json.loads(bob.hash)) == {"credentialData", "secretData"}
    assert all(line.problem for line in (eve, odd, nobody))


def test_a_scim_list_has_users_with_hashes(tmp_path: Path):
    users = {
        "Resources": [
            {"userName": "bob", "password": HASH, "name": {"givenName": "B"}, "emails": [{"value": "b@x"}]},
            {"userName": "eve"},
        ]
    }

    bob, eve = lines(tmp_path, "users.json", json.dumps(users), "scim")

    assert bob == Line(1, "bob", HASH, {"given_name": "B", "email": "b@x"})
    assert eve.problem


@pytest.mark.parametrize(
    ("name", "text", "form", "says"),
    [
        ("users.txt", "", None, "--format csv, ldif, keycloak, scim"),
        ("users.csv", b"username,hash\nj\xf6rg,x\n", None, "UTF-8"),
        ("realm.json", "{", "keycloak", "a JSON document"),
        ("realm.json", "{}", "keycloak", "under 'users'"),
        ("realm.json", "[" * 100_000, "scim", "a JSON document"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, name: str, text: str | bytes, form: str | None, says: str
):
    with pytest.raises(OperatorError, match=says):
        lines(tmp_path, name, text, form)


def test_a_hash_is_in_no_text():
    assert HASH not in repr(Line(1, "bob", HASH))


def test_lines_after_a_broken_one_are_read(tmp_path: Path):
    text = f'username,hash\n"bob"x,{HASH}\neve,{HASH}\n'

    broken, eve = lines(tmp_path, "users.csv", text)

    assert (broken.number, "a line of CSV" in broken.problem) == (2, True)
    assert eve == Line(3, "eve", HASH)


def test_a_first_line_that_is_somebody_is_not_repeated(tmp_path: Path):
    with pytest.raises(OperatorError, match="columns username, hash") as refusal:
        lines(tmp_path, "users.csv", f"bob,{HASH}\n")

    assert HASH not in str(refusal.value)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path):
    with pytest.raises(OperatorError, match="not: column 3"):
        lines(tmp_path, "users.csv", f"username,hash,hash\nbob,{HASH},x\n")


@pytest.mark.parametrize("said", ["locked", "x", "on", "tru"])
def test_what_may_mean_disabled_lets_nobody_in(tmp_path: Path, said: str):
    (line,) = lines(tmp_path, "users.csv", f"username,hash,disabled\nbob,{HASH},{said}\n")

    assert line == Line(2, problem="true, false or nothing under disabled")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (f"username,hash\n{'b' * 513},{HASH}\neve,{HASH}\n", "csv"),
        (f"username,hash\nbob,{'x' * 1025}\neve,{HASH}\n", "csv"),
        (f"dn: x\nuid: {'b' * 600}\nuserPassword: {HASH}\n\ndn: x\nuid: eve\nuserPassword: {HASH}\n", "ldif"),
        (
            json.dumps([{"userName": "\ud800", "password": HASH}, {"userName": "eve", "password": HASH}]),
            "scim",
        ),
    ],
    ids=["name", "hash", "name in LDIF", "half a character"],
)
def test_what_the_server_could_not_read_costs_one_line(tmp_path: Path, text: str, form: str):
    bad, eve = lines(tmp_path, "users", text, form)

    assert (bool(bad.problem), bad.username, bad.hash) == (True, "", "")
    assert (eve.username, eve.problem) == ("eve", "")


@pytest.mark.parametrize("form", ["csv", "ldif"])
def test_a_line_without_end_is_not_read_whole(tmp_path: Path, form: str):
    head = "username,hash" if form == "csv" else "dn: x"

    with pytest.raises(OperatorError, match="line 2: at most 100,000 characters"):
        lines(tmp_path, "users", f"{head}\n" + "x" * 300_000, form)


@pytest.mark.parametrize(
    "user",
    [
        {"userName": None, "password": HASH},
        {"userName": 5, "password": HASH},
        {"password": HASH},
        {"userName": "bob", "password": [HASH]},
        {"userName": "bob", "password": HASH, "active": "false"},
        {"userName": "bob", "password": HASH, "active": None},
        {"userName": "bob", "password": HASH, "name": [1]},
        {"userName": "bob", "password": HASH, "emails": {"a": 1}},
    ],
)
def test_a_user_of_another_shape_is_named_by_its_path(tmp_path: Path, user: dict[str, object]):
    (line,) = lines(tmp_path, "users", json.dumps([user]), "scim")

    assert line == Line(1, problem="Resources[0] as its program exports it")


def test_a_comment_of_two_lines_belongs_to_nobody(tmp_path: Path):
    text = f"dn: x\nuid: bob\n# a comment that\n goes on\nuserPassword: {HASH}\n"

    assert lines(tmp_path, "users.ldif", text) == [Line(1, "bob", HASH)]


def test_one_request_has_100_lines_or_half_a_million_characters():
    small = [Line(number, "bob", HASH) for number in range(250)]
    large = [Line(number, "bob", HASH, {"note": "x" * 50_000}) for number in range(25)]

    assert [len(some) for some in batches(small)] == [100, 100, 50]
    assert [len(some) for some in batches(large)] == [10, 10, 5]
