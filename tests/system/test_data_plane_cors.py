"""What browsers are told about calls from other origins (Fetch §3.2), as the real HAProxy says it."""

from collections.abc import Iterator

import pytest
from tests.system.data_plane import TOKEN, Answer, DataPlane, a_decision, an_api, an_organization, running

from ostiary.gateway.plan import CORS

SHOP = "https://shop.example"
ALLOW = "access-control-allow-"
RESOURCES = [("GET", "/x", ()), ("POST", "/x", ()), ("GET", "/own", ()), ("OPTIONS", "/own", ())]
SHARED = {
    "origins": [SHOP, "https://b.example"],
    "methods": ["GET"],
    "headers": ["x-one"],
    "credentials": True,
}
STATED = [("BLOCKED", 503), ("RETIRED", 404)]


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    own = {("OPTIONS", "/own"): "none"}
    apis = [
        an_api(production=["http://backend"], resources=RESOURCES, auth=own),
        an_api("shared", context="/shared", production=["http://backend"], resources=RESOURCES, cors=SHARED),
        an_api(
            "off", context="/off", production=["http://backend"], resources=RESOURCES, cors={"enabled": False}
        ),
        *(an_api(state, context=f"/{state}", state=state, resources=RESOURCES) for state, _ in STATED),
    ]
    with running(an_organization(), *apis) as running_plane:
        running_plane.decide(*(a_decision(api=one.id) for one in apis))
        running_plane.backend.headers.update(
            {
                "Access-Control-Allow-Origin": "https://backend.example",
                "Access-Control-Allow-Credentials": "true",
                "Access-Control-Expose-Headers": "X-Theirs",
            }
        )
        yield running_plane


def preflight(plane: DataPlane, path: str, origin: str = SHOP, method: str = "POST") -> Answer:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    plane.backend.calls.clear()
    return plane.call("OPTIONS", f"/t/my_company{path}", **asked)


def said(answer: Answer) -> dict[str, str]:
    """What a browser is allowed, without the common beginning of the names."""
    found = {name.removeprefix(ALLOW): value for name, value in answer.headers.items() if ALLOW in name}
    return found | ({"vary": answer.headers["vary"]} if "vary" in answer.headers else {})


def test_a_preflight_is_answered_by_the_gateway_before_any_credential(plane: DataPlane):
    usual = CORS()

    answer = preflight(plane, "/orders/1.0.0/x")

    assert (answer.status, answer.body) == (200, b"")
    assert said(answer) == {"origin": "*", "methods": "GET,POST", "headers": ",".join(usual.headers)}
    assert set(usual.methods) >= {"GET", "POST"}
    assert usual.origins == ("*",)
    assert plane.backend.calls == []


def test_an_api_s_own_rules_are_told(plane: DataPlane):
    answer = preflight(plane, "/shared/1.0.0/x")

    assert answer.status == 200
    assert said(answer) == {
        "origin": SHOP,
        "methods": "GET",
        "headers": "x-one",
        "credentials": "true",
        "vary": "Origin",
    }


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://shop.example.evil", "*"])
def test_another_origin_is_told_nothing(plane: DataPlane, origin: str):
    answer = preflight(plane, "/shared/1.0.0/x", origin)

    assert (answer.status, said(answer)) == (200, {"vary": "Origin"})


def test_a_preflight_of_the_publisher_s_is_passed_on(plane: DataPlane):
    answer = preflight(plane, "/orders/1.0.0/own")

    assert answer.status == 200
    assert [call["method"] for call in plane.backend.calls] == ["OPTIONS"]
    assert said(answer) == {"origin": "*"}


def test_without_the_headers_of_a_preflight_it_is_none(plane: DataPlane):
    answer = plane.call("OPTIONS", "/t/my_company/orders/1.0.0/x", Origin=SHOP)

    assert answer.status == 405
    assert said(answer) == {"origin": "*"}


@pytest.mark.parametrize(("state", "status"), STATED)
def test_a_preflight_to_what_cannot_be_called_says_so(plane: DataPlane, state: str, status: int):
    assert preflight(plane, f"/{state}/1.0.0/x").status == status


@pytest.mark.parametrize(
    ("path", "origin", "expected"),
    [
        ("/orders/1.0.0/x", SHOP, {"origin": "*"}),
        ("/orders/1.0.0/x", None, {"origin": "https://backend.example", "credentials": "true"}),
        ("/shared/1.0.0/x", SHOP, {"origin": SHOP, "credentials": "true", "vary": "Origin"}),
        ("/shared/1.0.0/x", "https://evil.example", {"vary": "Origin"}),
        ("/off/1.0.0/x", SHOP, {"origin": "https://backend.example", "credentials": "true"}),
    ],
)
def test_the_gateway_s_word_replaces_the_backend_s(
    plane: DataPlane, path: str, origin: str | None, expected: dict[str, str]
):
    answer = plane.call(
        "GET", f"/t/my_company{path}", TOKEN, **({} if origin is None else {"Origin": origin})
    )

    assert answer.status == 200
    assert said(answer) == expected
    assert answer.headers["access-control-expose-headers"] == "X-Theirs"


@pytest.mark.parametrize(
    ("token", "path", "status"), [(None, "/x", 401), ("wrong", "/x", 401), (TOKEN, "/y", 404)]
)
def test_a_browser_can_read_a_refusal(plane: DataPlane, token: str | None, path: str, status: int):
    answer = plane.call("GET", f"/t/my_company/shared/1.0.0{path}", token, Origin=SHOP)

    assert answer.status == status
    assert said(answer) == {"origin": SHOP, "credentials": "true", "vary": "Origin"}
    assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]


def test_with_cors_off_the_gateway_says_nothing(plane: DataPlane):
    answer = preflight(plane, "/off/1.0.0/x")

    assert (answer.status, said(answer)) == (405, {})
