"""The expressions of hygiene, as Python reads them; the system tests ask HAProxy."""

import re
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.gateway.haproxy import hygiene

GOOD = re.compile(re.sub(r"\+\+|\*\+", lambda found: found[0][0], hygiene.GOOD_PATH))
"""Python of this version may lack possessive quantifiers; they change only how much is tried."""


@given(st.text(st.characters(min_codepoint=0xA0, exclude_categories=("Cs",)), min_size=1))
def test_what_needs_encoding_may_be_encoded(text: str):
    assert GOOD.match("/" + quote(text, safe=""))
    assert GOOD.match("/" + quote(text, safe="").lower())


@given(st.binary(min_size=1, max_size=4))
def test_an_escape_that_passes_is_utf_8_without_controls_or_separators(data: bytes):
    path = "/" + "".join(f"%{byte:02X}" for byte in data)
    if not GOOD.match(path):
        return
    text = unquote_to_bytes(path).decode()
    assert not any(one in "\\;\x7f" or one < " " or "\x80" <= one < "\xa0" for one in text)
    assert text.count("/") == 1
    assert not re.search(r"[A-Za-z0-9._~-]", text)


@pytest.mark.parametrize("escape", ["%2561", "%252e", "%25%32", "%", "%4", "%zz", "%C0%AE", "%ED%A0%80"])
def test_double_broken_and_overlong_escapes_do_not_pass(escape: str):
    assert not GOOD.match(f"/{escape}")


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a.b/..c/.d", "/...", "/a:b@c/~!$&'()*+,=-_"])
def test_plain_paths_pass(path: str):
    assert GOOD.match(path)


@pytest.mark.parametrize(
    "path",
    ["", "a", "*", "//", "/a//b", "/.", "/./", "/..", "/a/../b", "/a;b", "/a\\b", "/a b", "/é", "/a\n"],
)
def test_what_can_be_read_in_two_ways_does_not_pass(path: str):
    assert not GOOD.match(path)


@pytest.mark.parametrize(
    "name",
    ["x-jwt-assertion", "x_jwt_assertion", "x.jwt.assertion", "x-forwarded-for", "x_forwarded_port", "te"],
)
def test_headers_only_we_set_are_known_in_every_spelling(name: str):
    assert re.search(hygiene.EDGE_HEADERS, name)


@pytest.mark.parametrize("name", ["x-jwt", "accept", "host", "my-x-jwt-assertion", "x-jwt-assertions", "tea"])
def test_other_headers_are_left_alone(name: str):
    assert not re.search(hygiene.EDGE_HEADERS, name)


def test_a_path_with_an_apostrophe_is_quoted():
    assert hygiene.quoted("it's") == "'it'\\''s'"
