"""Contexts, versions, methods and path templates: what is one and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.apim import (
    METHODS,
    RESERVED,
    Invalid,
    parse_context,
    parse_method,
    parse_path,
    parse_version,
    shape,
)
from ostiary.apim.paths import enclosing


@pytest.mark.parametrize(
    "text", ["/orders", "/shop/orders", "/v1-beta_2.x~y", "/Orders", "/tokens", "/a" * 100]
)
def test_a_context_is_one_or_more_plain_segments(text: str):
    assert parse_context(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "orders",
        "/orders/",
        "//orders",
        "/orders//x",
        "/or ders",
        "/ördérs",
        "/orders/..",
        "/./orders",
        "/orders;x",
        "/orders%2Fx",
        "/{id}",
        "/*",
        "/orders?x",
        "/orders#x",
        "/orders\n",
        "/_x",
        "/a" * 101,
    ],
)
def test_anything_else_is_no_context(text: str):
    with pytest.raises(Invalid, match="context"):
        parse_context(text)


@pytest.mark.parametrize("first", sorted(RESERVED))
def test_a_context_cannot_shadow_what_is_ours(first: str):
    for text in (f"/{first}", f"/{first.upper()}", f"/{first}/orders"):
        with pytest.raises(Invalid):
            parse_context(text)


@pytest.mark.parametrize("text", ["1.0.0", "v1", "1", "2026-01-01", "1.0.0_rc-1", "a" * 30])
def test_a_version_is_one_plain_segment(text: str):
    assert parse_version(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", "-1", "1/2", "1 0", "1.0\n", "{v}", "a" * 31, "1%2e0"])
def test_anything_else_is_no_version(text: str):
    with pytest.raises(Invalid, match="version"):
        parse_version(text)


@pytest.mark.parametrize("text", METHODS)
def test_the_methods_of_resources_are_these(text: str):
    assert parse_method(text) == text


@pytest.mark.parametrize("text", ["get", "HEAD", "TRACE", "CONNECT", "", "GET ", "*"])
def test_no_other_method_is_one(text: str):
    with pytest.raises(Invalid, match="method"):
        parse_method(text)


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/*",
        "/a",
        "/a/b",
        "/{id}",
        "/{id}/items/{item-id}",
        "/files/*",
        "/{a}/*",
        "/a.b-c_d~e",
        "/a,b:c@d=e",
        "/!$&'()+",
    ],
)
def test_a_path_is_literal_segments_templates_and_a_star_at_the_end(text: str):
    assert parse_path(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "*",
        "/a/",
        "//",
        "/a//b",
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/*/a",
        "/a*",
        "/a/*b",
        "/{id}.json",
        "/x{id}",
        "/{}",
        "/{1}",
        "/{id}/{id}",
        "/a;b",
        "/a\\b",
        "/a%20b",
        "/a b",
        "/é",
        "/a\x00",
        "/a?b",
        "/a#b",
        "/{id",
        "/id}",
        "/{a}{b}",
        "/**",
        "/" + "a" * 500,
    ],
)
def test_anything_else_is_no_path(text: str):
    with pytest.raises(Invalid, match="path"):
        parse_path(text)


_SEGMENTS = st.from_regex(r"[A-Za-z0-9._~!$&'()+,=:@-]{1,10}", fullmatch=True).filter(
    lambda s: s not in (".", "..")
)


@given(st.lists(_SEGMENTS, min_size=1, max_size=6))
def test_every_path_of_literal_segments_is_one(segments: list[str]):
    path = "/" + "/".join(segments)
    assert parse_path(path) == path == shape(path)


@given(st.text(max_size=30))
def test_whatever_parses_is_forwarded_as_it_is_matched(text: str):
    """A template never holds what the gateway refuses or rewrites (design: hygiene)."""
    try:
        path = parse_path(text)
    except Invalid:
        return
    assert path.isascii()
    assert not any(mark in path for mark in (";", "\\", "%", "//", "?", "#", " "))
    assert not {".", ".."} & set(path.split("/"))


def test_the_names_of_templates_do_not_make_another_resource():
    assert shape("/{id}/items/{item}") == shape("/{order}/items/{number}") != shape("/{id}/items/item")


def test_what_encloses_a_base_path_is_every_shorter_one():
    assert enclosing("/shop/orders/1.0.0") == ("/shop", "/shop/orders")
