"""Files with users: what is read of each form, and what is wrong with which line."""

import base64
import json
from pathlib import Path

import pytest

from ostiary.cli.errors import OperatorError
from ostiary.cli.user_files import Line, read_users

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
