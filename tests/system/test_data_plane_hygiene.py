"""The path decided on is the path forwarded, and only we say who calls: hostile forms through HAProxy."""

import socket
import ssl
from collections.abc import Iterator

import pytest
from tests.system.data_plane import TOKEN, DataPlane, a_decision, an_api, an_organization, running
from tests.system.http_2 import HTTP2

CALL = "/t/my_company/orders/1.0.0"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    resources = [("GET", "/*", ()), ("GET", "/admin", ("admin",)), ("GET", "/a:b", ("admin",))]
    with running(
        an_organization(), an_api(production=["http://backend"], resources=resources)
    ) as running_plane:
        running_plane.decide(a_decision())
        yield running_plane


@pytest.fixture(autouse=True)
def nothing_called(plane: DataPlane) -> None:
    plane.backend.calls.clear()


HOSTILE = [
    # Dot segments, plain and encoded, once and twice.
    "/x/../admin",
    "/x/./admin",
    "/..",
    "/x/..",
    "/.",
    "/%2e%2e/admin",
    "/%2E/admin",
    "/.%2e/admin",
    "/x/%2e%2e%2fadmin",
    "/%252e%252e/admin",
    "/%25%32%65/admin",
    # Path parameters (CVE-2026-73551, WSO2-2022-2177).
    "/admin;x=1",
    "/x/..;/admin",
    "/..;param/admin",
    "/;/admin",
    "/admin%3bx",
    "/admin%3B",
    # Slashes and backslashes.
    "//admin",
    "/x//admin",
    "/admin//",
    "/%2fadmin",
    "/x%2Fadmin",
    "/x/%2f/admin",
    "/\\admin",
    "/x\\..\\admin",
    "/%5cadmin",
    "/%5Cadmin",
    "/x%5c..%5cadmin",
    # What needs no encoding is not encoded.
    "/%61dmin",
    "/adm%69n",
    "/%41",
    "/%7e",
    "/%2d",
    "/%5f",
    # NUL and controls, raw ones are below.
    "/admin%00",
    "/%00",
    "/admin%0a",
    "/admin%0d%0aX-JWT-Assertion:x",
    "/admin%09",
    "/admin%7f",
    "/admin%1f",
    "/%c2%80",
    # Overlong and broken UTF-8, surrogates, beyond U+10FFFF.
    "/%c0%ae%c0%ae/admin",
    "/%c0%af",
    "/%c1%81",
    "/%e0%80%af",
    "/%e0%9f%bf",
    "/%f0%80%80%af",
    "/%ed%a0%80",
    "/%f4%90%80%80",
    "/%f5%80%80%80",
    "/%ff",
    "/%80",
    "/%c3",
    "/%c3x",
    "/%c3%28",
    "/%e2%82",
    # Broken and double escapes, IIS escapes.
    "/%",
    "/%2",
    "/%zz",
    "/%u002e%u002e/admin",
    "/%2%65/admin",
    "/%2561dmin",
    # Characters RFC 3986 §3.3 wants encoded.
    '/"admin"',
    "/<admin>",
    "/{admin}",
    "/a|b",
    "/a^b",
    "/a`b",
    "/[admin]",
    "/" + "x" * 5000,
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_never_reaches_the_backend(plane: DataPlane, path: str):
    answer = plane.raw(_request(f"{CALL}{path}"))

    assert answer.status == 400
    assert plane.backend.calls == []


@pytest.mark.parametrize(
    "target",
    [
        "*",
        "t/my_company/orders/1.0.0/x",
        "http://other.example/t/my_company/orders/1.0.0/x",
        "http://x@y/t/my_company/orders/1.0.0/x",
        "/t/my_company/orders/1.0.0/../1.0.0/x",
        "/t/./my_company/orders/1.0.0/x",
        "/%74/my_company/orders/1.0.0/x",
        "/t/my_company/orders%2f1.0.0/x",
        "/t/my_company//orders/1.0.0/x",
        "//t/my_company/orders/1.0.0/x",
        "/t/my_company/orders/1.0.0/x#/admin",
        "/t/my_company/orders/1.0.0/\x00",
        "/t/my_company/orders/1.0.0/\x01x",
        "/t/my_company/orders/1.0.0/caf\xe9",
    ],
)
def test_a_hostile_target_never_reaches_the_backend(plane: DataPlane, target: str):
    answer = plane.raw(_request(target))

    assert answer.status == 400
    assert plane.backend.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "/x/",
        "/x.y/..z/...",
        "/john%40example.com",
        "/john@example.com",
        "/a%20b",
        "/100%25",
        "/caf%C3%A9/%E2%82%AC/%F0%9F%98%80",
        "/a(b)!c$d&e'f*g+h,i=j:k~l_m-n",
        "/a%3Fb%23c%26d",
        "/%5B1%5D%7B2%7D",
        "/x?q=../..;%00//\\",
        "/x" * 1000,
    ],
)
def test_a_plain_path_is_forwarded_as_it_came(plane: DataPlane, path: str):
    answer = plane.raw(_request(f"{CALL}{path}"))

    assert answer.status == 200
    assert [call["path"] for call in plane.backend.calls] == [path]


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/admin?x=/y", "/a:b", "/a%3Ab", "/a%3ab/"])
def test_a_guarded_resource_is_guarded_in_every_form_that_passes(plane: DataPlane, path: str):
    assert plane.raw(_request(f"{CALL}{path}")).status == 403


@pytest.mark.parametrize(
    "name",
    [
        "X-JWT-Assertion",
        "x-jwt-assertion",
        "X_JWT_Assertion",
        "X-JWT_Assertion",
        "X.JWT.Assertion",
        "x~jwt~assertion",
        "X-Request-Id",
        "X_Request_ID",
        "X-Forwarded-For",
        "X_FORWARDED_FOR",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        "Forwarded",
        "X-Real-IP",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X_Method_Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "Proxy",
        "TE",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "True-Client-IP",
        "X-Client-IP",
        "CF-Connecting-IP",
        "X-Original-Host",
        "X-Host",
        "Transfer_Encoding",
        "Content_Length",
    ],
)
def test_a_header_only_we_set_does_not_pass_in_any_spelling(plane: DataPlane, name: str):
    plane.raw(_request(f"{CALL}/x", f"{name}: forged", f"{name}: twice"))

    (call,) = plane.backend.calls
    assert "forged" not in str(call["headers"])
    assert "twice" not in str(call["headers"])


def test_other_headers_pass(plane: DataPlane):
    plane.raw(_request(f"{CALL}/x", "my_header: kept", "X-JWT: kept", "Cookie: a=b; c=d"))

    headers = dict(plane.backend.calls[0]["headers"])
    assert (headers["my_header"], headers["x-jwt"], headers["cookie"]) == ("kept", "kept", "a=b; c=d")


@pytest.mark.parametrize(
    "connection", ["X-JWT-Assertion", "close, X-JWT-Assertion", "x-request-id", "Upgrade, X-JWT-Assertion"]
)
def test_the_connection_header_cannot_make_anybody_drop_ours(plane: DataPlane, connection: str):
    """RFC 9110 §7.6.1: the next hop would remove what `Connection` names."""
    plane.raw(_request(f"{CALL}/x", f"Connection: {connection}", "Upgrade: h2c"))

    headers = dict(plane.backend.calls[0]["headers"])
    assert headers["x-jwt-assertion"] == "header.assertion.signature"
    assert "assertion" not in headers.get("connection", "").lower()
    assert "upgrade" not in headers


@pytest.mark.parametrize(
    "extra",
    ["Authorization: Bearer other", "authorization: Basic x", "AUTHORIZATION: Bearer a-token.of-ours"],
)
def test_two_authorizations_are_a_bad_request(plane: DataPlane, extra: str):
    assert plane.raw(_request(f"{CALL}/x", extra)).status == 400


def test_two_credentials_in_one_authorization_are_a_bad_request(plane: DataPlane):
    request = _request(f"{CALL}/x").replace(TOKEN.encode(), TOKEN.encode() + b",Bearer other")

    assert plane.raw(request).status == 400


@pytest.mark.parametrize("size", [17_000, 24_000])
def test_large_headers_are_refused(plane: DataPlane, size: int):
    answer = plane.raw(_request(f"{CALL}/x", f"X-Large: {'a' * size}"))

    assert (answer.status, answer.json()["code"]) == (431, "431")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("size", [25_000, 60_000])
def test_headers_larger_than_the_buffer_are_refused_by_haproxy_itself(plane: DataPlane, size: int):
    assert plane.raw(_request(f"{CALL}/x", f"X-Large: {'a' * size}")).status == 400


def test_the_largest_headers_and_a_large_assertion_fit(plane: DataPlane):
    answer = plane.raw(_request(f"{CALL}/x", f"X-Large: {'a' * 15_500}"))

    assert answer.status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        b"POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 1\r\n\r\na",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\nX y: z\r\n\r\n",
        b"GE T / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_two_readers_could_frame_differently_is_refused(plane: DataPlane, request_bytes: bytes):
    answer = plane.raw(request_bytes)

    assert answer.status in (400, 501)
    assert plane.backend.calls == []


def test_a_hostile_path_over_http_2_is_refused_too(plane: DataPlane):
    statuses = [_over_http_2(plane, f"{CALL}{path}") for path in ("/x/../admin", "/%61", "//x", "/a;b", "/x")]

    assert statuses == [400, 400, 400, 400, 200]


def test_over_http_2_the_backend_is_told_its_own_host(plane: DataPlane):
    _over_http_2(plane, f"{CALL}/x")

    headers = dict(plane.backend.calls[0]["headers"])
    assert headers["host"] == f"127.0.0.1:{plane.backend.port}"
    assert headers["x-forwarded-proto"] == "https"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused(plane: DataPlane):
    context = ssl.create_default_context(cafile=plane.folder / "ca.pem")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", plane.tls_port)) as plain:
        context.wrap_socket(plain, server_hostname="localhost")


def _request(target: str, *headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {TOKEN}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _over_http_2(plane: DataPlane, path: str) -> int | None:
    with HTTP2(plane.tls_port, plane.folder / "ca.pem") as connection:
        return connection.get(path, TOKEN)
