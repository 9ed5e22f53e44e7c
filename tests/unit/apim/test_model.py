"""What an API must be before it exists, and before it is published."""

import pytest
from tests.unit.apim.builders import an_api

from ostiary.apim import (
    Backend,
    Invalid,
    LifecycleState,
    Resource,
    parse_backend_url,
    parse_limit,
    parse_name,
    parse_plan_name,
    parse_scope,
)
from ostiary.apim.model import MAX_RESOURCES, check_api


def test_a_whole_api_is_accepted_as_it_is():
    assert check_api(an_api()) == an_api()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"context": "/token"}, "context"),
        ({"version": "1/2"}, "version"),
        ({"backend": Backend()}, "backend"),
        ({"backend": Backend(("ftp://x",))}, "backend"),
        ({"backend": Backend(("http://a.example", "http://a.example"))}, "backend"),
        ({"backend": Backend(tuple(f"http://a{n}.example" for n in range(51)))}, "backend"),
        ({"plans": ()}, "plans"),
        ({"resources": ()}, "resources"),
        ({"resources": (Resource("GET", "/{a}"), Resource("GET", "/{b}"))}, "resources"),
        ({"resources": (Resource("GET", "/", ("a b",)),)}, "scopes"),
        ({"resources": tuple(Resource("GET", f"/{n}") for n in range(MAX_RESOURCES + 1))}, "resources"),
    ],
)
def test_a_wrong_api_is_refused_by_the_name_of_its_field(changes: dict[str, object], field: str):
    with pytest.raises(Invalid) as refusal:
        check_api(an_api(**changes))
    assert refusal.value.field == field


@pytest.mark.parametrize("state", [LifecycleState.CREATED, LifecycleState.RETIRED])
def test_an_api_nobody_can_call_may_be_incomplete(state: LifecycleState):
    check_api(an_api(state=state, backend=Backend(), plans=(), resources=()))


def test_a_prototype_needs_no_plan():
    check_api(an_api(state=LifecycleState.PROTOTYPED, plans=()))


def test_one_path_may_have_each_method_once():
    check_api(an_api(resources=(Resource("GET", "/"), Resource("POST", "/"))))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:9701",
        "https://orders.example",
        "https://orders.example:8443/base/v1/",
        "http://[::1]:80",
        "https://a-b.c_d.example/x~y",
        "http://localhost",
    ],
)
def test_a_backend_is_an_http_address(text: str):
    assert parse_backend_url(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "orders.example",
        "ftp://orders.example",
        "http://",
        "http:///x",
        "http://u:p@x",
        "http://u@x",
        "http://@x",
        "http://x?y",
        "http://x/?",
        "http://x#y",
        "http://x/a b",
        "http://x\n",
        "http://x/\n",
        " http://x",
        "http://x:",
        "http://x:0",
        "http://x:99999",
        "http://x:a",
        "http://[::1",
        "http://x\\@y",
        "http://x;y",
        "http://é.example",
        "http://x/..",
        "http://x/a/./b",
        "http://x/%2e%2e",
        "http://-x",
        "//x",
        "http://x/" + "a" * 500,
        "HTTP://x y",
    ],
)
def test_anything_else_is_no_backend(text: str):
    with pytest.raises(Invalid, match="backend"):
        parse_backend_url(text)


@pytest.mark.parametrize("text", ["Orders", "Orders & Returns", "注文", "a", "x" * 60])
def test_names_are_short_printable_text(text: str):
    assert parse_name(text) == text


@pytest.mark.parametrize(
    "text", ["", " a", "a ", "a\nb", "<b>", 'a"b', "a/b", "a\\b", "x" * 61, "\x00", "\ud800"]
)
def test_anything_else_is_no_name(text: str):
    with pytest.raises(Invalid, match="name"):
        parse_name(text)


@pytest.mark.parametrize(
    ("text", "good"), [("Gold", True), ("10k.per-min_x", True), ("", False), ("a b", False)]
)
def test_a_plan_is_named_by_one_word(text: str, good: bool):
    if good:
        assert parse_plan_name(text) == text
    else:
        with pytest.raises(Invalid):
            parse_plan_name(text)


@pytest.mark.parametrize("text", ["", "a b", 'a"', "a\\", "é", "a\n"])
def test_a_scope_is_a_scope_token(text: str):
    """RFC 6749 §3.3."""
    assert parse_scope("orders:write") == "orders:write"
    with pytest.raises(Invalid):
        parse_scope(text)


@pytest.mark.parametrize("requests", [0, -1, 1_000_000_001])
def test_a_limit_is_a_positive_number_or_none(requests: int):
    assert parse_limit(None) is None
    assert parse_limit(1) == 1
    with pytest.raises(Invalid):
        parse_limit(requests)
