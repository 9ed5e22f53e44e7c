"""Who may call: auth of a resource, API keys and where they may be used, denials, the default version."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.system.data_plane import (
    ORDERS,
    ORGANIZATION,
    TOKEN,
    DataPlane,
    a_decision,
    an_api,
    an_organization,
    entry,
    grant,
    running,
)

from ostiary.gateway.haproxy import Decision, shard
from ostiary.gateway.haproxy.decisions import MapEntry
from ostiary.gateway.haproxy.denied import DENIED_MAP

CALL = "/t/my_company/orders/1.0.0"
KEY = "ostiary_key_abcDEF-_0123456789"
HASH = "k" + hashlib.sha256(KEY.encode()).hexdigest()
RESOURCES = [("GET", path, ()) for path in ("/any", "/application", "/user", "/none", "/scoped")]
AUTH = {("GET", f"/{auth}"): auth for auth in ("any", "application", "user", "none")}
BOTH = ["oauth2", "api_key"]


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    resources = [*RESOURCES[:-1], ("GET", "/scoped", ("orders:read",))]
    apis = [
        an_api(production=["http://backend"], resources=resources, auth=AUTH, security=BOTH),
        an_api("tokens", context="/tokens", production=["http://backend"]),
        an_api("keys", context="/keys", production=["http://backend"], security=["api_key"]),
        an_api("v1", context="/shop", production=["http://backend/one"]),
        an_api("v2", context="/shop", version="2", production=["http://backend/two"], default_version=True),
        an_api("sandbox", context="/sandbox", sandbox=["http://backend"], auth={("GET", "/*"): "none"}),
        an_api("denied", context="/denied", production=["http://backend"]),
    ]
    denial = entry("denial", "d1", organization_id=ORGANIZATION, condition="API", value="denied")
    with running(an_organization(), *apis, denial) as running_plane:
        yield running_plane


@pytest.fixture(autouse=True)
def nothing_stored(plane: DataPlane) -> Iterator[None]:
    """No decision is stored, nobody is denied, and the agent refuses every credential."""
    assert plane.agent is not None
    plane.agent.answer = lambda *_: (200, "refuse invalid_token")
    plane.agent.asked.clear()
    plane.backend.calls.clear()
    names = {shard(hashlib.sha256(one.encode()).hexdigest()) for one in (TOKEN, KEY)}
    plane.run(lambda runtime: runtime.replace({name: [] for name in names}))
    yield
    plane.run(lambda runtime: runtime.replace({DENIED_MAP: []}))


def a_key_s_decision(api: str = ORDERS, **changes: Any) -> Decision:
    return replace(a_decision(api=api), credential_sha256=HASH, **changes)


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


def forwarded(plane: DataPlane) -> tuple[str, dict[str, str]]:
    (call,) = plane.backend.calls
    return call["path"], dict(call["headers"])


# Whose token a resource takes.


@pytest.mark.parametrize("holder", ["application", "user"])
@pytest.mark.parametrize("auth", ["any", "application", "user"])
def test_a_resource_takes_the_tokens_it_says(plane: DataPlane, auth: str, holder: str):
    plane.decide(replace(a_decision(), holder=holder))

    answer = plane.get(f"{CALL}/{auth}", TOKEN)

    if auth in ("any", holder):
        assert answer.status == 200
    else:
        assert refusal(answer) == (401, "900905")
        assert plane.backend.calls == []


def test_a_resource_that_asks_for_nothing_is_called_without_credential_and_assertion(plane: DataPlane):
    answer = plane.get(f"{CALL}/none")

    assert answer.status == 200
    path, headers = forwarded(plane)
    assert path == "/none"
    assert "x-jwt-assertion" not in headers


def test_a_credential_that_nobody_asked_for_is_ignored_and_removed(plane: DataPlane):
    plane.decide(a_decision())

    for how in ({"token": TOKEN}, {"token": "wrong"}, {"apikey": KEY}, {"X_JWT_Assertion": "forged"}):
        assert plane.get(f"{CALL}/none", **how).status == 200

    for call in plane.backend.calls:
        sent = {name for name, _ in call["headers"]}
        assert sent & {"authorization", "apikey", "x-jwt-assertion", "x_jwt_assertion"} == set()
    assert plane.agent is not None
    assert plane.agent.asked == []


def test_an_anonymous_call_goes_to_the_sandbox_where_there_is_nothing_else(plane: DataPlane):
    assert plane.get("/t/my_company/sandbox/1.0.0/x").status == 200


# API keys.


@pytest.mark.parametrize(
    ("path", "headers", "backend_sees"),
    [
        ("/any", {"apikey": KEY}, "/any"),
        ("/any", {"ApiKey": KEY}, "/any"),
        (f"/any?apikey={KEY}", {}, "/any"),
        (f"/any?apikey={KEY}&of=mine", {}, "/any?of=mine"),
        (f"/any?of=mine&apikey={KEY}", {}, "/any?of=mine"),
        (f"/any?a=1;apikey={KEY};b=2&c", {}, "/any?a=1;b=2&c"),
        (f"/any?xapikey=1&apikey={KEY}&apikeys=2", {}, "/any?xapikey=1&apikeys=2"),
    ],
)
def test_an_api_key_is_taken_from_header_or_query_and_never_goes_on(
    plane: DataPlane, path: str, headers: dict[str, str], backend_sees: str
):
    plane.decide(a_key_s_decision())

    answer = plane.get(f"{CALL}{path}", **headers)

    assert answer.status == 200
    seen, sent = forwarded(plane)
    assert seen == backend_sees
    assert KEY not in str(plane.backend.calls)
    assert sent["x-jwt-assertion"] == "header.assertion.signature"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/any?apikey={KEY}", {"apikey": KEY}),
        (f"/any?apikey={KEY}&apikey={KEY}", {}),
        (f"/any?apikey={KEY};apikey=", {}),
        (f"/any?apikey={KEY}", {"Authorization": f"Bearer {TOKEN}"}),
        ("/any", {"apikey": KEY, "Authorization": f"Bearer {TOKEN}"}),
        ("/any", {"apikey": KEY, "Authorization": "Basic dTpw"}),
        (f"/none?apikey={KEY}", {"apikey": KEY}),
    ],
)
def test_more_than_one_credential_is_refused(plane: DataPlane, path: str, headers: dict[str, str]):
    plane.decide(a_decision(), a_key_s_decision())

    answer = plane.get(f"{CALL}{path}", **headers)

    assert refusal(answer) == (400, "400")
    assert plane.backend.calls == []


def test_two_headers_with_an_api_key_are_refused(plane: DataPlane):
    plane.decide(a_key_s_decision())
    request = f"GET {CALL}/any HTTP/1.1\r\nHost: x\r\napikey: {KEY}\r\nApikey: {KEY}\r\n\r\n"

    assert plane.raw(request.encode()).status == 400


def test_an_api_takes_only_the_credentials_it_says(plane: DataPlane):
    """Nothing is asked for a credential that could never be granted."""
    plane.decide(a_key_s_decision("tokens"), a_decision(api="keys"))

    assert refusal(plane.get("/t/my_company/tokens/1.0.0/x", apikey=KEY)) == (401, "900901")
    assert refusal(plane.get("/t/my_company/keys/1.0.0/x", TOKEN)) == (401, "900901")
    assert plane.agent is not None
    assert plane.agent.asked == []
    assert plane.backend.calls == []


def test_an_api_key_is_no_bearer_token_and_the_other_way_round(plane: DataPlane):
    """The same secret in the other place is another credential: no decision of one is found for the other."""
    plane.decide(a_key_s_decision())
    assert refusal(plane.get(f"{CALL}/any", KEY)) == (401, "900901")
    assert refusal(plane.get(f"{CALL}/any", HASH)) == (401, "900901")

    plane.decide(a_decision())
    assert refusal(plane.get(f"{CALL}/any", apikey=TOKEN)) == (401, "900901")


def test_the_agent_is_told_the_hash_of_an_unknown_key_alone(plane: DataPlane):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: grant(a_key_s_decision())

    assert plane.get(f"{CALL}/any?apikey={KEY}").status == 200

    (asked,) = plane.agent.asked
    assert KEY not in str(asked)
    assert HASH in str(asked)


def test_an_api_key_is_never_logged(plane: DataPlane):
    assert plane.get(f"{CALL}/any?apikey={KEY}").status == 401
    assert plane.get(f"{CALL}/any", apikey=KEY).status == 401

    assert KEY not in plane.logged()


def test_an_api_key_has_no_scope_and_is_no_user(plane: DataPlane):
    plane.decide(a_key_s_decision())

    assert refusal(plane.get(f"{CALL}/scoped", apikey=KEY)) == (403, "900910")
    assert refusal(plane.get(f"{CALL}/user", apikey=KEY)) == (401, "900905")
    assert plane.get(f"{CALL}/application", apikey=KEY).status == 200


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        (("127.0.0.1/32",), True),
        (("10.0.0.0/8", "127.0.0.0/8"), True),
        (("0.0.0.0/0",), True),
        (("127.0.0.0/31",), True),
        (("127.0.0.2/31",), False),
        (("127.0.0.2/32",), False),
        (("128.0.0.0/1",), False),
        (("::/0",), True),  # every address there is
        (("::1/128",), False),
        (("::ffff:127.0.0.1/128",), True),
        (("2001:db8::/32",), False),
    ],
)
def test_a_restricted_key_is_used_from_its_addresses_alone(
    plane: DataPlane, addresses: tuple[str, ...], allowed: bool
):
    plane.decide(a_key_s_decision(addresses=addresses))

    answer = plane.get(f"{CALL}/any", apikey=KEY)

    if allowed:
        assert answer.status == 200
    else:
        assert refusal(answer) == (403, "900908")
        assert plane.backend.calls == []


@pytest.mark.parametrize(
    ("pattern", "referer", "allowed"),
    [
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example", "https://shop.example/", True),
        ("https://shop.example", "https://SHOP.example/cart?x=1#y", True),
        ("https://shop.example", "https://shop.example:8443/", False),
        ("https://shop.example:8443", "https://shop.example:8443/", True),
        ("https://shop.example", "http://shop.example/", False),
        ("https://shop.example", "https://shop.example.evil/", False),
        ("https://shop.example", "https://evil/https://shop.example/", False),
        ("https://shop.example", "https://shop.example@evil/", False),
        ("https://shop.example", "https://evil\\@shop.example/", False),
        ("https://shop.example", "https://evilshop.example/", False),
        ("https://shop.example", "", False),
        ("https://shop.example", None, False),
        ("https://*.shop.example", "https://a.b.shop.example/", True),
        ("https://*.shop.example", "https://shop.example/", False),
        ("https://*.shop.example", "https://evilshop.example/", False),
        ("https://shop.example/app", "https://shop.example/app", True),
        ("https://shop.example/app", "https://shop.example/app/cart?x", True),
        ("https://shop.example/app", "https://shop.example/application", False),
        ("https://shop.example/app", "https://shop.example/", False),
    ],
)
def test_a_restricted_key_is_used_from_its_pages_alone(
    plane: DataPlane, pattern: str, referer: str | None, allowed: bool
):
    plane.decide(a_key_s_decision(referers=("https://other.example", pattern)))
    headers = {} if referer is None else {"Referer": referer}

    answer = plane.get(f"{CALL}/any", apikey=KEY, **headers)

    if allowed:
        assert answer.status == 200
    else:
        assert refusal(answer) == (403, "900908")
        assert plane.backend.calls == []


def test_a_granted_key_is_restricted_from_its_first_call_on(plane: DataPlane):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: grant(a_key_s_decision(addresses=("10.0.0.0/8",)))

    assert refusal(plane.get(f"{CALL}/any", apikey=KEY)) == (403, "900908")


# Deny policies.


def test_a_denied_address_is_refused_whatever_it_shows(plane: DataPlane):
    plane.decide(a_decision())
    plane.set(MapEntry(DENIED_MAP, "127.0.0.0/8", f",{ORGANIZATION},"))

    assert refusal(plane.get(f"{CALL}/any", TOKEN)) == (403, "900805")
    assert refusal(plane.get(f"{CALL}/none")) == (403, "900805")

    plane.set(MapEntry(DENIED_MAP, "127.0.0.0/8", None))
    assert plane.get(f"{CALL}/any", TOKEN).status == 200


def test_an_address_denied_elsewhere_may_call_here(plane: DataPlane):
    plane.decide(a_decision())
    plane.set(MapEntry(DENIED_MAP, "127.0.0.1/32", f",other,{ORGANIZATION[:-1]},"))

    assert plane.get(f"{CALL}/any", TOKEN).status == 200


def test_a_denied_api_is_refused(plane: DataPlane):
    plane.decide(a_decision(api="denied"))

    assert refusal(plane.get("/t/my_company/denied/1.0.0/x", TOKEN)) == (403, "900805")


def test_what_the_agent_denies_is_refused(plane: DataPlane):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: (200, "refuse denied_caller")

    assert refusal(plane.get(f"{CALL}/any", TOKEN)) == (403, "900805")


# The default version.


def test_a_path_without_version_is_the_default_version_s(plane: DataPlane):
    plane.decide(a_decision(api="v1"), a_decision(api="v2"))

    for path in ("/shop/x?y=1", "/shop/2/x?y=1", "/shop/1.0.0/x"):
        assert plane.get(f"/t/my_company{path}", TOKEN).status == 200

    assert [call["path"] for call in plane.backend.calls] == ["/two/x?y=1", "/two/x?y=1", "/one/x"]


def test_the_decision_for_another_version_is_not_enough(plane: DataPlane):
    plane.decide(a_decision(api="v1"))

    assert refusal(plane.get("/t/my_company/shop/x", TOKEN)) == (401, "900901")
    assert plane.get("/t/my_company/shopping/x", TOKEN).status == 404


# What a stored decision is about: change one thing, and it is another answer (cache keys).


@pytest.mark.parametrize(
    "change",
    ["token", "api", "organization", "scope", "token type", "kind of credential", "address", "expiry"],
)
def test_a_decision_is_for_exactly_what_it_was_made_for(plane: DataPlane, change: str):
    restricted = a_key_s_decision(addresses=("10.0.0.0/8",))
    decision: Decision = {
        "token": a_decision("another-token"),
        "api": a_decision(api="tokens"),
        "organization": a_decision(organization_id="other"),
        "token type": replace(a_decision(), holder="application"),
        "kind of credential": a_key_s_decision(),
        "address": restricted,
        "expiry": a_decision(lifetime=-1),
    }.get(change, a_decision())
    plane.decide(decision)
    path = {"scope": "/scoped", "token type": "/user"}.get(change, "/any")
    credential = {"apikey": KEY} if change == "address" else {"token": TOKEN}

    assert plane.get(f"{CALL}{path}", **credential).status in (401, 403)
    assert plane.backend.calls == []
