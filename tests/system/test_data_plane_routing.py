"""Which path is which API and resource, and where its calls go, as the real HAProxy routes."""

from collections.abc import Iterator

import pytest
from tests.system.data_plane import (
    DEFAULT,
    TOKEN,
    DataPlane,
    a_decision,
    an_api,
    an_organization,
    running,
    sha256,
)

from ostiary.gateway.haproxy import shard

CALL = "/t/my_company/orders/1.0.0"
RESOURCES = [
    ("GET", "/", ()),
    ("GET", "/{id}", ()),
    ("POST", "/", ("orders:write", "admin")),
    ("GET", "/latest", ("orders:read",)),
    ("DELETE", "/{id}", ("admin",)),
    ("PUT", "/*", ("admin",)),
    ("GET", "/files/{name}.txt", ()),
    ("GET", "/files/{name}", ("admin",)),
    ("GET", "/archive/*", ()),
    ("GET", "/café", ("admin",)),
]
STATES = ["CREATED", "PROTOTYPED", "PUBLISHED", "BLOCKED", "DEPRECATED", "RETIRED"]


def _state_api(number: int) -> str:
    return f"00000000-0000-4000-8000-0000000000f{number}"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    apis = [
        an_api(production=["http://backend/base"], resources=RESOURCES),
        an_api("nested", context="/orders/1.0.0", version="2", production=["http://backend/nested"]),
        an_api("unprefixed", context="/shop", organization_id=DEFAULT, production=["http://backend"]),
        an_api("bare", context="/bare", sandbox=["http://backend/sandbox"]),
        an_api("gone", context="/gone", production=["http://gone.invalid"]),
        an_api("two", context="/two", production=["http://backend/first", "http://backend/second"]),
        an_api("unresolved", context="/unresolved", production=["http://unresolved.example"]),
        an_api("small", context="/small", resources=[("GET", "/", ())]),
        an_api("unknown", context="/unknown", resources=[("GET", "/{a}{b}", ())]),
    ]
    states = [
        an_api(_state_api(n), context=f"/{state.lower()}", state=state, production=["http://backend"])
        for n, state in enumerate(STATES)
    ]
    with running(an_organization(), an_organization(DEFAULT, "default"), *apis, *states) as running_plane:
        yield running_plane


@pytest.fixture(autouse=True)
def nothing_stored(plane: DataPlane) -> None:
    """No decision is stored, and the agent refuses every credential."""
    assert plane.agent is not None
    plane.agent.answer = lambda *_: (200, "refuse invalid_token")
    plane.agent.asked.clear()
    plane.backend.calls.clear()
    plane.run(lambda runtime: runtime.replace({shard(sha256(TOKEN)): []}))


@pytest.mark.parametrize(
    ("method", "path", "forwarded"),
    [
        ("GET", CALL, "/base"),
        ("GET", f"{CALL}/", "/base/"),
        ("GET", f"{CALL}/42", "/base/42"),
        ("GET", f"{CALL}/42/", "/base/42/"),
        ("GET", f"{CALL}/42?of=mine;x=1", "/base/42?of=mine;x=1"),
        ("HEAD", f"{CALL}/42", "/base/42"),
        ("GET", f"{CALL}/a%20b%40c", "/base/a%20b%40c"),
        ("GET", f"{CALL}/files/report.txt", "/base/files/report.txt"),
        ("GET", f"{CALL}/archive", "/base/archive"),
        ("GET", f"{CALL}/archive/2026/01", "/base/archive/2026/01"),
    ],
)
def test_a_granted_call_reaches_the_backend_at_its_own_path(
    plane: DataPlane, method: str, path: str, forwarded: str
):
    plane.decide(a_decision())

    answer = plane.call(method, path, TOKEN)

    assert answer.status == 200
    assert [(call["method"], call["path"]) for call in plane.backend.calls] == [(method, forwarded)]


def test_the_backend_gets_the_assertion_and_never_the_token(plane: DataPlane):
    plane.decide(a_decision())

    answer = plane.call("GET", f"{CALL}/42", TOKEN, Accept="*/*")

    seen = dict(plane.backend.calls[0]["headers"])
    headers = {
        "accept": "*/*",
        "accept-encoding": "identity",
        "host": f"127.0.0.1:{plane.backend.port}",
        "traceparent": seen.get("traceparent"),
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-jwt-assertion": "header.assertion.signature",
        "x-request-id": answer.headers["x-request-id"],
    }
    assert seen == headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "404"),
        ("GET", "/t", 404, "404"),
        ("GET", "/t/my_company", 404, "404"),
        ("GET", "/orders/1.0.0", 404, "404"),  # of another organization
        ("GET", "/t/other/orders/1.0.0", 404, "404"),
        ("GET", "/t/my_company/orders", 404, "404"),
        ("GET", "/t/my_company/orders/1.0.00", 404, "404"),
        ("GET", "/t/my_company/orders/1.0", 404, "404"),
        ("GET", "/t/my_company/ORDERS/1.0.0", 404, "404"),
        ("GET", f"{CALL}/42/lines", 405, "900906"),  # that is PUT /*
        ("GET", "/t/my_company/small/1.0.0/x", 404, "900906"),
        ("POST", f"{CALL}/42", 405, "900906"),
        ("PUT", f"{CALL}/42", 405, "900906"),  # the template decides, not /*
        ("DELETE", f"{CALL}/latest", 405, "900906"),  # the literal decides, not the template
        ("OPTIONS", CALL, 405, "900906"),
        ("GET", "/internal/gateway/v1/plan", 404, "404"),
        ("GET", "/api/whatever", 404, "404"),
        ("POST", "/oauth2/token", 404, "404"),
    ],
)
def test_what_is_not_published_is_refused_before_any_credential(
    plane: DataPlane, method: str, path: str, status: int, code: str
):
    answer = plane.call(method, path)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert plane.agent is not None
    assert plane.agent.asked == []


def test_a_wrong_method_names_the_right_ones(plane: DataPlane):
    assert plane.call("PATCH", f"{CALL}/42").headers["allow"] == "DELETE, GET, HEAD"


def test_the_longer_context_wins(plane: DataPlane):
    plane.decide(a_decision(api="nested"))

    answer = plane.get("/t/my_company/orders/1.0.0/2/x", TOKEN)

    assert (answer.status, plane.backend.calls[0]["path"]) == (200, "/nested/x")


@pytest.mark.parametrize("prefix", ["", "/t/default"])
def test_the_default_organization_needs_no_prefix(plane: DataPlane, prefix: str):
    plane.decide(a_decision(api="unprefixed", organization_id=DEFAULT))

    assert plane.get(f"{prefix}/shop/1.0.0/x", TOKEN).status == 200


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("CREATED", 404),
        ("PROTOTYPED", 200),
        ("PUBLISHED", 200),
        ("BLOCKED", 503),
        ("DEPRECATED", 200),
        ("RETIRED", 404),
    ],
)
def test_the_state_of_an_api_decides(plane: DataPlane, state: str, status: int):
    plane.decide(a_decision(api=_state_api(STATES.index(state))))

    answer = plane.get(f"/t/my_company/{state.lower()}/1.0.0/x", TOKEN)

    assert answer.status == status
    if status == 503:
        assert answer.json()["code"] == "700700"


def test_an_api_that_cannot_be_enforced_is_refused_whole(plane: DataPlane):
    assert plane.get("/t/my_company/unknown/1.0.0/ab", TOKEN).status == 503


def test_the_key_type_picks_the_backend(plane: DataPlane):
    plane.decide(a_decision(api="bare", key_type="SANDBOX"))

    assert plane.get("/t/my_company/bare/1.0.0/x", TOKEN).status == 200
    assert plane.backend.calls[0]["path"] == "/sandbox/x"


def test_a_key_without_a_backend_of_its_type_is_refused(plane: DataPlane):
    plane.decide(a_decision(api="bare", key_type="PRODUCTION"))

    answer = plane.get("/t/my_company/bare/1.0.0/x", TOKEN)

    assert (answer.status, answer.json()["code"]) == (401, "900901")


def test_addresses_of_a_backend_take_turns(plane: DataPlane):
    plane.decide(a_decision(api="two"))

    for _ in range(20):
        plane.get("/t/my_company/two/1.0.0/x", TOKEN)

    assert {call["path"] for call in plane.backend.calls} == {"/first/x", "/second/x"}


def test_a_backend_whose_name_has_no_address_is_unavailable(plane: DataPlane):
    plane.decide(a_decision(api="unresolved"))

    answer = plane.get("/t/my_company/unresolved/1.0.0/x", TOKEN)

    assert (answer.status, answer.json()["code"]) == (503, "303001")
    assert answer.headers["retry-after"] == "5"


def test_a_dead_backend_is_unavailable_and_not_our_failure(plane: DataPlane):
    plane.decide(a_decision(api="gone"))

    answer = plane.get("/t/my_company/gone/1.0.0/x", TOKEN)

    assert (answer.status, answer.json()["code"]) == (503, "303001")
    assert answer.headers["x-request-id"]


def test_protocol_endpoints_go_to_the_workers(plane: DataPlane):
    assert plane.worker is not None
    paths = [
        "/token",
        "/revoke",
        "/jwks",
        "/gateway/jwks",
        "/t/my_company/token",
        "/t/my_company/gateway/jwks",
    ]

    said = [plane.get(path).body.decode() for path in paths]

    assert said == [f"worker {path}" for path in paths]


def test_the_workers_are_told_the_truth_about_the_client(plane: DataPlane):
    assert plane.worker is not None
    forged = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https", "X_Forwarded_For": "10.0.0.1"}
    plane.call("GET", "/token", **forged, Forwarded="for=10.0.0.1")

    said = [header for header in plane.worker.headers[-1] if "forwarded" in header[0]]
    assert said == [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http")]


def test_a_large_form_is_refused(plane: DataPlane):
    answer = plane.call("POST", "/token", body=b"x" * 70_000)

    assert answer.status == 413


def test_a_large_form_of_unknown_length_is_refused(plane: DataPlane):
    chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
    head = b"POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert plane.raw(head + chunk * 4 + b"0\r\n\r\n").status == 413
