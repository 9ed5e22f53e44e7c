"""Resource templates and backend addresses become map values, or the API is refused whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.gateway.haproxy.resources import CHUNK, Unsupported, chunks, resources_value, targets, template
from ostiary.gateway.plan import Resource


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/", "/"),
        ("/orders", "/orders"),
        ("/orders/", "/orders"),
        ("/{id}", "/{}"),
        ("/{order-id}/lines/{line_id}", "/{}/lines/{}"),
        ("/report-{year}.pdf", "/report-{}.pdf"),
        ("/{a}-{b}", "/{}-{}"),
        ("/*", "/*"),
        ("/files/*", "/files/*"),
        ("/café", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a b", "/a%20b"),
        ("/a:b", "/a%3Ab"),
        ("/a%3ab", "/a%3Ab"),
        ("/a|b,c", "/a%7Cb%2Cc"),
    ],
)
def test_a_template_has_one_canonical_form(path: str, written: str):
    assert template(path) == written


@pytest.mark.parametrize(
    "path",
    [
        "",
        "orders",
        "*",
        "/*/x",
        "/a*",
        "/{a}{b}",
        "/{}",
        "/{a",
        "/a}",
        "/{+path}",
        "/{path*}",
        "/a//b",
        "//",
        "/..",
        "/./a",
        "/%2e%2e",
        "/a%2Fb",
        "/a;b",
        "/a\\b",
        "/a%00",
        "/%ff",
        "/a" * 65,
    ],
)
def test_a_template_that_cannot_be_enforced_is_refused(path: str):
    with pytest.raises(Unsupported):
        template(path)


def test_resources_are_written_in_one_order():
    one, two = Resource("GET", "/{id}"), Resource("POST", "/", ("b", "a"))

    assert resources_value([one, two]) == resources_value([two, one]) == "GET:/{}:|POST:/:a,b"


@pytest.mark.parametrize("again", [Resource("GET", "/{name}"), Resource("GET", "/{id}/")])
def test_the_same_resource_twice_is_one(again: Resource):
    assert resources_value([Resource("GET", "/{id}"), again]) == "GET:/{}:"


@pytest.mark.parametrize("path", ["/{name}", "/{id}/"])
def test_two_resources_that_contradict_each_other_are_refused(path: str):
    with pytest.raises(Unsupported):
        resources_value([Resource("GET", "/{id}"), Resource("GET", path, ("admin",))])


@pytest.mark.parametrize("method", ["get", "", "GET:", "*", "GET POST"])
def test_an_unknown_method_is_refused(method: str):
    with pytest.raises(Unsupported):
        resources_value([Resource(method, "/")])


@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "ä"])
def test_a_scope_that_no_token_can_have_is_refused(scope: str):
    with pytest.raises(Unsupported):
        resources_value([Resource("GET", "/", (scope,))])


def test_many_resources_are_cut_at_their_boundaries():
    value = resources_value(Resource("GET", f"/resource-{n}/{{id}}") for n in range(2000))

    pieces = chunks(value)

    assert "|".join(pieces) == value
    assert len(pieces) > 1
    assert all(len(piece) <= CHUNK for piece in pieces)


def test_a_resource_larger_than_a_command_is_refused():
    value = resources_value([Resource("GET", "/", tuple(f"scope-{n:05}" for n in range(1000)))])

    with pytest.raises(Unsupported):
        chunks(value)


@given(st.text(), st.text())
def test_no_value_has_a_character_with_a_meaning_to_the_runtime_api(path: str, scope: str):
    try:
        value = resources_value([Resource("GET", f"/{path}", (scope,))])
    except Unsupported:
        return
    assert not set(value) & set(" ;\\\n\r\t\"'<")


def _resolve(host: str, _port: int) -> tuple[str, ...]:
    return {"two.example": ("192.0.2.1", "2001:db8::1")}.get(host, ())


@pytest.mark.parametrize(
    ("urls", "written"),
    [
        ([], "-"),
        (["http://unknown.example"], ""),
        (["http://127.0.0.1"], "http+127.0.0.1+80+127.0.0.1+127.0.0.1+"),
        (["https://127.0.0.1:443/"], "https+127.0.0.1+443+127.0.0.1+127.0.0.1+"),
        (["http://[::1]:81/a/b/"], "http+%3A%3A1+81+%5B%3A%3A1%5D%3A81+%3A%3A1+%2Fa%2Fb"),
        (
            ["https://two.example"],
            "https+192.0.2.1+443+two.example+two.example+,"
            "https+2001%3Adb8%3A%3A1+443+two.example+two.example+",
        ),
        (["http://unknown.example", "http://10.0.0.1"], "http+10.0.0.1+80+10.0.0.1+10.0.0.1+"),
    ],
)
def test_backend_addresses_are_written_resolved(urls: list[str], written: str):
    assert targets(urls, _resolve) == written


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "//x",
        "x",
        "http://",
        "http://user@x",
        "http://user:secret@x",
        "http://x?y",
        "http://x#y",
        "http://x/../y",
        "http://x/a b",
        "http://x/%2e",
        "http://x//y",
        "http://x:99999",
        "http://bücher.example",
    ],
)
def test_a_backend_address_that_is_more_than_host_port_and_path_is_refused(url: str):
    with pytest.raises(Unsupported):
        targets([url], _resolve)
