"""Who may call: tokens, the agent's word, scopes, epochs, and how a refusal looks, from the real HAProxy."""

import json
from collections.abc import Iterator

import pytest
from tests.system.data_plane import (
    DEFAULT,
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
    sha256,
)

from ostiary.gateway.haproxy import MapEntry, decision_entry, decision_key, shard
from ostiary.gateway.haproxy.maps import EPOCH_SHARDS, epoch_key
from ostiary.gateway.haproxy.shards import shard_name, shard_of

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


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    orders = an_api(production=["http://backend/base"], resources=RESOURCES)
    epochs = [
        entry("epoch", f"{ORGANIZATION}:client:mobile app", minimum=3),
        entry("epoch", f"{ORGANIZATION}:scope:orders:write", minimum=9),
    ]
    with running(an_organization(), orders, *epochs) as running_plane:
        yield running_plane


@pytest.fixture(autouse=True)
def nothing_stored(plane: DataPlane) -> None:
    """No decision is stored, and the agent refuses every credential."""
    assert plane.agent is not None
    plane.agent.answer = lambda *_: (200, "refuse invalid_token")
    plane.agent.asked.clear()
    plane.backend.calls.clear()
    plane.run(lambda runtime: runtime.replace({shard(sha256(TOKEN)): []}))


def test_no_token_is_missing_credentials(plane: DataPlane):
    answer = plane.get(f"{CALL}/42")

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="my_company"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "code": "900902",
        "message": "Missing Credentials",
        "description": "Invalid Credentials. Make sure your API invocation call has a header: "
        "'Authorization : Bearer ACCESS_TOKEN'",
    }


@pytest.mark.parametrize("header", ["Basic bW9iaWxlOnNlY3JldA==", "bearer", "Digest x", ""])
def test_another_scheme_is_missing_credentials(plane: DataPlane, header: str):
    answer = plane.call("GET", f"{CALL}/42", Authorization=header)

    assert (answer.status, answer.json()["code"]) == (401, "900902")


def test_an_unknown_token_is_invalid_credentials(plane: DataPlane):
    answer = plane.get(f"{CALL}/42", TOKEN)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="my_company", error="invalid_token"'
    assert answer.json() == {
        "code": "900901",
        "message": "Invalid Credentials",
        "description": "Invalid Credentials. Make sure you have provided the correct security credentials",
    }


def test_the_agent_is_asked_with_the_agreed_words(plane: DataPlane):
    assert plane.agent is not None
    answer = plane.get(f"{CALL}/42", TOKEN)

    ((path, body),) = plane.agent.asked
    assert path == "/decide"
    assert json.loads(body) == {
        "api": ORDERS,
        "credential_sha256": sha256(TOKEN),
        "credential": TOKEN,
        "address": "127.0.0.1",
        "relayed": True,
        "request": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize("token", ['a"b', "a b", "a\\b", "a=b", "="])
def test_what_cannot_be_a_token_is_refused_without_asking(plane: DataPlane, token: str):
    assert plane.agent is not None
    answer = plane.get(f"{CALL}/42", token)

    assert (answer.status, answer.json()["code"]) == (401, "900901")
    assert plane.agent.asked == []


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("invalid_token", 401, "900901"),
        ("subscription_blocked", 401, "900907"),
        ("subscription_inactive", 401, "900909"),
        ("not_subscribed", 403, "900908"),
        ("unavailable", 503, "900900"),
    ],
)
def test_the_agents_refusals_have_their_codes(plane: DataPlane, name: str, status: int, code: str):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: (200, f"refuse {name}")

    answer = plane.get(f"{CALL}/42", TOKEN)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize(
    "said",
    [
        (500, "grant\nx"),
        (200, ""),
        (200, "grant"),
        (200, "refuse"),
        (200, "refuse allow"),
        (200, "refuse ../x"),
        (200, "grant\n1|2|3"),
        (200, "grant\n\n"),
        (204, ""),
        (302, "grant"),
    ],
)
def test_an_answer_of_the_agent_that_is_none_lets_nobody_through(plane: DataPlane, said: tuple[int, str]):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: said

    assert plane.get(f"{CALL}/42", TOKEN).status in (401, 503)
    assert plane.backend.calls == []


def test_a_grant_of_the_agent_is_used_at_once_and_stored_by_the_agent_alone(plane: DataPlane):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: grant(a_decision())

    statuses = [plane.get(f"{CALL}/42", TOKEN).status for _ in range(2)]

    assert statuses == [200, 200]
    assert len(plane.agent.asked) == 2


def test_a_stored_decision_asks_nobody(plane: DataPlane):
    assert plane.agent is not None
    plane.decide(a_decision())

    assert plane.get(f"{CALL}/42", TOKEN).status == 200
    assert plane.agent.asked == []


def test_a_deleted_decision_is_gone_at_once(plane: DataPlane):
    plane.decide(a_decision())
    assert plane.get(f"{CALL}/42", TOKEN).status == 200

    plane.set(MapEntry(shard(sha256(TOKEN)), decision_key(ORDERS, sha256(TOKEN)), None))

    assert plane.get(f"{CALL}/42", TOKEN).status == 401


def test_a_decision_is_for_one_api(plane: DataPlane):
    plane.decide(a_decision(api="another"))

    assert plane.get(f"{CALL}/42", TOKEN).status == 401


@pytest.mark.parametrize("where", ["stored", "granted"])
@pytest.mark.parametrize(
    "unusable",
    [
        {"lifetime": -1},
        {"epoch": 2},  # the client was narrowed at 3
        {"epoch": 8, "scopes": ["orders:write"]},  # the scope was narrowed at 9
        {"organization_id": DEFAULT},
    ],
)
def test_a_decision_that_no_longer_holds_is_refused(plane: DataPlane, where: str, unusable: dict):
    assert plane.agent is not None
    decision = a_decision(**unusable)
    if where == "stored":
        plane.decide(decision)
    else:
        plane.agent.answer = lambda *_: grant(decision)

    assert plane.get(f"{CALL}/42", TOKEN).status == 401
    assert len(plane.agent.asked) == 1


def test_a_token_issued_after_a_narrowing_holds(plane: DataPlane):
    plane.decide(a_decision(epoch=9, scopes=["orders:write"]))

    assert plane.call("POST", f"{CALL}/", TOKEN).status == 200


def test_a_narrowing_while_serving_takes_effect_at_once(plane: DataPlane):
    plane.decide(a_decision(epoch=5))
    key = epoch_key(ORGANIZATION, "subject", "subject-1")
    assert plane.get(f"{CALL}/42", TOKEN).status == 200

    plane.set(MapEntry(_epoch_map(key), key, "6"))
    try:
        assert plane.get(f"{CALL}/42", TOKEN).status == 401
    finally:
        plane.set(MapEntry(_epoch_map(key), key, None))


def _epoch_map(key: str) -> str:
    return shard_name("epochs", shard_of(key, EPOCH_SHARDS))


@pytest.mark.parametrize(
    ("method", "path", "scopes", "status"),
    [
        ("POST", "/", (), 403),
        ("POST", "/", ("orders:read",), 403),
        ("POST", "/", ("orders", "write", "orders:write2", "admi"), 403),
        ("POST", "/", ("orders:write",), 200),
        ("POST", "/", ("admin",), 200),
        ("POST", "/", ("orders:read", "admin"), 200),
        ("GET", "/latest", (), 403),
        ("HEAD", "/latest", (), 403),
        ("GET", "/latest/", (), 403),
        ("GET", "/l%61test", ("orders:read",), 400),
        ("GET", "/files/x.pdf", (), 403),
        ("GET", "/files/.txt", (), 403),  # the placeholder is not empty: the wider template decides
        ("GET", "/caf%C3%A9", (), 403),
        ("GET", "/caf%c3%a9", (), 403),
    ],
)
def test_any_one_scope_of_the_resource_suffices(
    plane: DataPlane, method: str, path: str, scopes: tuple[str, ...], status: int
):
    plane.decide(a_decision(epoch=99, scopes=scopes))

    answer = plane.call(method, f"{CALL}{path}", TOKEN)

    assert answer.status == status
    if status == 403 and method != "HEAD":
        assert answer.json()["code"] == "900910"


def test_a_missing_scope_says_which_ones_would_do(plane: DataPlane):
    plane.decide(a_decision())

    answer = plane.call("POST", f"{CALL}/", TOKEN)

    challenge = 'Bearer realm="my_company", error="insufficient_scope", scope="admin orders:write"'
    assert answer.headers["www-authenticate"] == challenge


@pytest.mark.parametrize("accept", ["application/xml", "text/xml", "application/json;q=0.5, text/xml"])
def test_a_refusal_is_xml_where_that_is_preferred(plane: DataPlane, accept: str):
    answer = plane.call("GET", f"{CALL}/42", Accept=accept)

    assert answer.headers["content-type"] == "application/xml"
    assert answer.body.decode() == (
        '<ams:fault xmlns:ams="http://wso2.org/apimanager/security"><ams:code>900902</ams:code>'
        "<ams:message>Missing Credentials</ams:message><ams:description>Invalid Credentials. Make sure "
        "your API invocation call has a header: 'Authorization : Bearer ACCESS_TOKEN'</ams:description>"
        "</ams:fault>"
    )


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "text/xml;q=0.5, */*", "text/xml, application/json", "text/html", "x"]
)
def test_a_refusal_is_json_otherwise(plane: DataPlane, accept: str):
    answer = plane.call("GET", f"{CALL}/42", Accept=accept)

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["code"] == "900902"


def test_guessing_credentials_ends_and_others_go_on(plane: DataPlane):
    assert plane.agent is not None
    plane.decide(a_decision())
    statuses = []
    while 429 not in statuses and len(statuses) < 1000:
        statuses.append(plane.get(f"{CALL}/42", f"guess-{len(statuses)}").status)
    asked = len(plane.agent.asked)

    assert statuses[-1] == 429
    assert plane.get(f"{CALL}/42", "one-more").status == 429
    assert len(plane.agent.asked) == asked
    assert plane.get(f"{CALL}/42", TOKEN).status == 200


def test_no_secret_is_logged(plane: DataPlane):
    plane.get(f"{CALL}/secret-free?password=in-the-query", "secret-token")
    plane.decide(a_decision())
    plane.call("POST", f"{CALL}/?code=in-the-query", TOKEN)

    logged = plane.logged()
    assert '"event":"access"' in logged
    for secret in ("secret-token", TOKEN, "in-the-query", "assertion.signature", sha256(TOKEN)):
        assert secret not in logged
    lines = [line for line in logged.splitlines() if line.startswith("{")]
    assert all(json.loads(line)["request_id"] for line in lines)


def test_values_of_a_decision_survive_the_runtime_api(plane: DataPlane):
    decision = a_decision(scopes=["odd;scope", "back\\slash", "per%cent", "pipe|comma,"])
    plane.decide(decision)
    stored = decision_entry(decision)

    lines = plane.show(stored.map)

    assert f"{stored.key} {stored.value}" in lines


@pytest.mark.parametrize("method", ["{hash}^GET", "^{hash}^GET", "GET^{hash}", "/^^{hash}^GET", "GET^"])
def test_a_method_never_says_which_credential_is_shown(plane: DataPlane, method: str):
    """`^` may be in a method (RFC 9110 §5.6.2), and stands between what the decision is asked."""
    plane.decide(a_decision())
    line = f"{method.format(hash=sha256(TOKEN))} {CALL}/42 HTTP/1.1"

    answer = plane.raw(f"{line}\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())

    assert answer.status in (400, 401, 405)
    assert plane.backend.calls == []
