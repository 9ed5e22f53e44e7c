"""Hashes that others made: of each scheme some that another program computed, and what is no hash."""

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from ostiary.identity.hashes import SCHEMES, problem_of, scheme_of, verify, verify_salted

LINES = (Path(__file__).parent / "known_hashes.txt").read_text().splitlines()[1:]
KNOWN = {made: (scheme, text) for scheme, made, text in (line.split(" | ", 2) for line in LINES)}

KEYCLOAK_ARGON2 = (
    '{"credentialData": {"algorithm": "argon2", "hashIterations": 5, "additionalParameters": {'
    '"memory": ["7168"], "type": ["id"], "version": ["1.3"], "hashLength": ["32"], "parallelism": ["1"]}},'
    ' "secretData": {"value": "2Ek5zMZVGrFVTlHZZgywf+fd0fS6/y+DB3Z5fAX1+zM=",'
    ' "salt": "MDEyMzQ1Njc4OWFiY2RlZg=="}}'
)


@pytest.mark.parametrize("made", KNOWN)
def test_a_hash_of_another_program_is_verified(made: str):
    scheme, text = KNOWN[made]
    password = "my password" if scheme == "ASP.NET Identity" else "correct horse"

    assert (scheme_of(text), problem_of(text)) == (scheme, None)
    assert verify(text, SecretStr(password))
    for wrong in (password[:-1], password + " ", password.upper(), text):
        assert not verify(text, SecretStr(wrong))


def test_every_scheme_has_one():
    assert {scheme for scheme, _ in KNOWN.values()} == {scheme.name for scheme in SCHEMES}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "5ebe2294ecd0e0f08eab7690d2a6ee69",
        "{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
        "$1$somesalt$8wBJgHsqIEUJUUpn3u4Yr1",
        "$apr1$somesalt$x",
        "{SSHA}",
        "$2x$04$Cx5kLVrlWT6dxii96fveSu3pk0Vh0ungapfVzTmV1cPmF5xAK/A1G",
        "pbkdf2_sha256$1000$salt$",
        "*",
        "x" * 10_000,
    ],
)
def test_what_is_too_weak_or_no_hash_is_nobodys(text: str):
    assert scheme_of(text) is None
    assert problem_of(text) is not None
    assert not verify(text, SecretStr("secret"))


@pytest.mark.parametrize(
    "text",
    [
        "pbkdf2_sha256$999999999$salt$F7o7+5VTVzFAO998X6s3AHrDsJVdMiIlgndIMe19NvY=",
        "pbkdf2_sha256$0$salt$F7o7+5VTVzFAO998X6s3AHrDsJVdMiIlgndIMe19NvY=",
        "$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHRzYWx0$otnZMF7gn3T/mBjwQNsF2/BkISQse8/VHNX8NziXT1c",
        "$argon2id$v=19$m=1024,t=99999,p=1$c2FsdHNhbHRzYWx0$otnZMF7gn3T/mBjwQNsF2/BkISQse8/VHNX8NziXT1c",
        "$2b$31$Cx5kLVrlWT6dxii96fveSu3pk0Vh0ungapfVzTmV1cPmF5xAK/A1G",
        "$6$rounds=999999999$somesalt$" + "a" * 86,
        "scrypt:16777216:8:1$salt$" + "a" * 128,
        "scrypt:262144:8:16$salt$" + "a" * 128,
        "scrypt:16384:8:1$salt$" + "aa" * 2_000,
        "pbkdf2:sha1:2000000$salt$" + "ab" * 2_000,
        "$argon2id$v=19$m=262144,t=32,p=1$c2FsdHNhbHRzYWx0$otnZMF7gn3T/mBjwQNsF2/BkISQse8/VHNX8NziXT1c",
        "$scrypt$ln=21,r=64,p=16$LmVMKQXgPCdkDGEsReid8w$q2w7i5HKtFUzBVHWycgpIWarP/KMvZ51wesfSDhttII",
        '{"credentialData": {"algorithm": "pbkdf2-sha512", "hashIterations": 999999999},'
        ' "secretData": {"value": "' + "A" * 88 + '", "salt": "AAAA"}}',
    ],
)
def test_a_cost_beyond_all_reason_is_not_computed(text: str):
    """Whoever writes a hash could keep a core and the memory busy with it: these would not end here."""
    assert not verify(text, SecretStr("secret"))


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(b"\1\0\0\0\7\0\0\0\n\0\0\0\x10" + bytes(48)).decode(),
        '{"credentialData":' + "[" * 1_900 + "]" * 1_900 + "}",
        '{"credentialData": {"algorithm": "argon2", "hashIterations": 1}, "secretData": {}}',
        '{"credentialData": {"algorithm": [], "hashIterations": 1e999}, "secretData": {"value": 1}}',
        KEYCLOAK_ARGON2.replace('{"memory"', '[{"memory"').replace("]}}", "]}]}"),
        KEYCLOAK_ARGON2.replace('["id"]', "[]"),
        KEYCLOAK_ARGON2.replace("MDEyMzQ1Njc4OWFiY2RlZg==", "AA=="),
    ],
)
def test_a_hash_of_a_known_shape_with_impossible_parts_is_no_error(text: str):
    """Whoever writes a row could make a login fail with an error instead of a refusal."""
    assert scheme_of(text) is not None
    assert not verify(text, SecretStr("secret"))


def test_a_hash_of_keycloak_by_argon2_is_verified_within_bounds():
    """Its numbers are lists of texts. The key was computed by libargon2."""
    assert verify(KEYCLOAK_ARGON2, SecretStr("correct horse"))
    assert not verify(KEYCLOAK_ARGON2, SecretStr("correct hors"))
    assert not verify(
        KEYCLOAK_ARGON2.replace('"7168"', '"999999999"'),
        SecretStr("correct horse"),
    )


def test_a_short_key_is_no_proof():
    """Two octets would be right for one password of 65,536."""
    made = base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 1000, 2)).decode()

    assert not verify(f"pbkdf2_sha256$1000$salt${made}", SecretStr("secret"))


def test_more_than_bcrypt_looks_at_is_never_right():
    """The rest of the password would not be checked."""
    made = next(text for scheme, text in KNOWN.values() if scheme == "bcrypt").removeprefix("bcrypt$")

    assert not verify(made, SecretStr("correct horse" + "\0" * 60))
    assert not verify(made, SecretStr("c" * 73))


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("salt_first", [True, False])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_described_layout_is_verified(algorithm: str, salt_first: bool, encoding: str):
    text = "saltsecret" if salt_first else "secretsalt"
    digest = hashlib.new(algorithm, text.encode()).digest()
    made = digest.hex().upper() if encoding == "hex" else base64.b64encode(digest).decode()

    def is_right(password: str) -> bool:
        return verify_salted(
            algorithm, "salt", made, SecretStr(password), salt_first=salt_first, encoding=encoding
        )

    assert [is_right(password) for password in ("secret", "secre", "secret ")] == [True, False, False]


GARBLED = st.one_of(
    st.text(max_size=200),
    st.sampled_from([text for _, text in KNOWN.values()]).flatmap(
        lambda text: st.tuples(st.integers(0, len(text)), st.text(max_size=3)).map(
            lambda cut: text[: cut[0]] + cut[1] + text[cut[0] + 1 :]
        )
    ),
)


@settings(max_examples=300, deadline=None)
@given(text=GARBLED)
def test_a_garbled_hash_is_nobodys_and_no_error(text: str):
    if text not in [known for _, known in KNOWN.values()]:
        assert not verify(text, SecretStr("secret"))
