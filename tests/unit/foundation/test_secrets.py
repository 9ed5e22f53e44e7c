"""Sealing and fingerprints."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.foundation.secrets import SecretBox, SecretUnreadable, load_or_create_key, same

KEY = os.urandom(32)


@given(st.text(), st.text())
def test_what_is_sealed_opens_in_its_context_alone(plain: str, context: str) -> None:
    box = SecretBox(KEY)
    sealed = box.seal(plain.encode("utf-8", "replace"), context.encode("utf-8", "replace").decode())

    assert box.open(sealed, context.encode("utf-8", "replace").decode()) == plain.encode("utf-8", "replace")
    with pytest.raises(SecretUnreadable):
        box.open(sealed, "another context altogether")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SecretUnreadable):
        SecretBox(os.urandom(32)).open(SecretBox(KEY).seal("x", "c"), "c")


@pytest.mark.parametrize("sealed", ["", "AAAA", "not base64 !", "A" * 200])
def test_nonsense_opens_nothing(sealed: str) -> None:
    with pytest.raises(SecretUnreadable):
        SecretBox(KEY).open(sealed, "c")


def test_a_fingerprint_depends_on_secret_context_and_key() -> None:
    box = SecretBox(KEY)
    prints = {box.fingerprint("a", "c"), box.fingerprint("b", "c"), box.fingerprint("a", "d")}
    prints.add(SecretBox(os.urandom(32)).fingerprint("a", "c"))

    assert len(prints) == 4
    assert same(box.fingerprint("a", "c"), SecretBox(KEY).fingerprint("a", "c"))


def test_the_key_is_made_once_and_private(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "secret.key"

    assert load_or_create_key(path) == load_or_create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_box_does_not_print_its_key() -> None:
    assert repr(SecretBox(KEY)) == "SecretBox(…)"
