"""What happens when a part of the data plane fails: never a call let through, never a client left waiting."""

import dataclasses
import http.client
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from tests.system.data_plane import (
    ORDERS,
    TOKEN,
    DataPlane,
    a_decision,
    an_api,
    an_organization,
    call_on,
    grant,
    running,
    sha256,
)
from tests.system.http_2 import HTTP2
from tests.system.waiting import until

from ostiary.gateway.haproxy import PLAN_KEY, PLAN_MAP, MapEntry, decision_key, shard
from ostiary.gateway.haproxy.maps import route_map
from ostiary.gateway.haproxy.render import HERE

pytestmark = pytest.mark.alone

CALL = "/t/my_company/orders/1.0.0/x"
BROKEN = {
    "raises": 'error("broken")',
    "raises a table": "error({})",
    "calls what is not there": "core:no_such_method()",
    "returns a bad type": "return {}",
    "returns true": "return true",
    "does nothing": "",
    "loops": "while true do end",
    "loops over a string": 'local s = "" while true do s = s .. "x" if #s > 1000 then s = "" end end',
    "ends the coroutine": "core.done()",
}
RETURNS = {
    "returns a number": "return 1",
    "returns no word": 'return ""',
    "returns the beginning of a grant": 'return "pass"',
}
SAYS = {
    "says a table": 'txn:set_var("txn.outcome", {})',
    "says nothing": 'txn:set_var("txn.outcome", nil)',
    "says a function": 'txn:set_var("txn.outcome", function() end)',
    "says a number": 'txn:set_var("txn.outcome", 1)',
}
ACTIONS = {
    "ask": "decide.lua",
    "confine": "decide.lua",
    "await_plan": "decide.lua",
    "present": "refusals.lua",
}
CONVERTERS = ("decide", "decide_unnamed")


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataPlane]:
    """A data plane whose Lua does what the header `X-Break: ACTION HOW` says instead of its work.

    Of converters, which see no header, what the path says: `/CONVERTER/HOW`, with dashes for blanks.
    """
    lua = tmp_path_factory.mktemp("lua")
    for file in HERE.glob("*.lua"):
        shutil.copy(file, lua)
    for action, name in ACTIONS.items():
        registration = f'core.register_action("{action}", {{ "http-req" }}, {action})'
        _replace(lua / name, registration, _breakable(action))
    for name in CONVERTERS:
        _replace(
            lua / "decide.lua", f'core.register_converters("{name}", {name})', _breakable_converter(name)
        )
    resources = [("GET", "/*", ()), ("GET", "/decide_unnamed/{how}", ())]
    auth = {("GET", "/decide_unnamed/{how}"): "none"}
    api = an_api(production=["http://backend"], resources=resources, auth=auth)
    with running(an_organization(), api, lua=lua) as plane:
        plane.decide(a_decision(), dataclasses.replace(a_decision("restricted"), addresses=("127.0.0.1",)))
        yield plane


def _replace(file: Path, registration: str, broken: str) -> None:
    text = file.read_text()
    assert registration in text
    file.write_text(text.replace(registration, broken))


def _breakable(action: str) -> str:
    ways = ",".join(f'["{action} {how}"] = function(txn) {code} end' for how, code in (BROKEN | SAYS).items())
    return (
        f"local ways_{action} = {{ {ways} }}\n"
        f'core.register_action("{action}", {{ "http-req" }}, function(txn)'
        f' return (ways_{action}[txn.f:req_fhdr("x-break")] or {action})(txn) end)\n'
    )


def _breakable_converter(name: str) -> str:
    ways = ",".join(
        f'["{how.replace(" ", "-")}"] = function() {code} end' for how, code in (BROKEN | RETURNS).items()
    )
    return (
        f"local ways_{name} = {{ {ways} }}\n"
        f'core.register_converters("{name}", function(question)'
        f' return (ways_{name}[question:match("/{name}/([^^/]*)")] or {name})(question) end)\n'
    )


def test_lua_that_does_its_work_lets_the_call_through(breakable: DataPlane):
    assert breakable.get(CALL, TOKEN).status == 200


@pytest.mark.parametrize("token", ["restricted", None])
def test_what_can_be_broken_does_its_work_otherwise(breakable: DataPlane, token: str | None):
    path = f"/t/my_company/orders/1.0.0/{'x' if token else 'decide_unnamed/x'}"

    assert breakable.get(path, token).status == 200


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize("how", BROKEN | RETURNS)
def test_a_decision_that_fails_lets_nobody_through(breakable: DataPlane, converter: str, how: str):
    path = f"/t/my_company/orders/1.0.0/{converter}/{how.replace(' ', '-')}"

    _refuses(breakable, path, TOKEN)


@pytest.mark.parametrize(("action", "token"), [("ask", "unseen"), ("confine", "restricted")])
@pytest.mark.parametrize("how", BROKEN | SAYS)
def test_lua_that_fails_lets_nobody_through(breakable: DataPlane, action: str, token: str, how: str):
    _refuses(breakable, CALL, token, X_Break=f"{action} {how}")


def _refuses(breakable: DataPlane, path: str, token: str, **headers: str) -> None:
    breakable.backend.calls.clear()
    begun = time.monotonic()

    answer = breakable.call("GET", path, token, **headers)

    assert (answer.status, answer.json()["code"]) == (500, "900900")
    assert answer.headers["x-request-id"]
    assert time.monotonic() - begun < 4
    assert breakable.backend.calls == []
    assert breakable.get(CALL, TOKEN).status == 200


@pytest.mark.parametrize("how", BROKEN)
def test_a_refusal_that_cannot_be_written_still_refuses(breakable: DataPlane, how: str):
    breakable.backend.calls.clear()

    answer = breakable.call("GET", CALL, "unseen", X_Break=f"present {how}")

    assert (answer.status, answer.json()["code"]) == (500, "900900")
    assert breakable.backend.calls == []


@pytest.mark.parametrize("how", BROKEN)
def test_waiting_for_the_plan_fails_closed(breakable: DataPlane, how: str):
    breakable.backend.calls.clear()
    breakable.set(MapEntry(PLAN_MAP, PLAN_KEY, None))
    try:
        answer = breakable.call("GET", CALL, TOKEN, X_Break=f"await_plan {how}")
    finally:
        breakable.set(MapEntry(PLAN_MAP, PLAN_KEY, "1"))

    assert answer.status in (500, 503)
    assert breakable.backend.calls == []


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    with running(an_organization(), an_api(production=["http://backend"])) as running_plane:
        yield running_plane


@pytest.fixture(autouse=True)
def nothing_called(request: pytest.FixtureRequest) -> None:
    if "plane" in request.fixturenames:
        plane: DataPlane = request.getfixturevalue("plane")
        plane.backend.calls.clear()


def test_a_hanging_agent_is_unavailable_within_its_time(plane: DataPlane):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: None
    begun = time.monotonic()

    answer = plane.get(CALL, "unseen")

    assert (answer.status, answer.json()["code"]) == (503, "900900")
    assert answer.headers["retry-after"] == "2"
    assert time.monotonic() - begun < 1.5
    assert plane.backend.calls == []


def test_while_the_agent_hangs_stored_decisions_are_served(plane: DataPlane):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: None
    plane.decide(a_decision())

    assert plane.get(CALL, TOKEN).status == 200


@pytest.mark.parametrize("value", ["garbage", "1|2|3", "1|9999999999|x|" + "|" * 9, "2|" + "|" * 11, "%"])
def test_a_decision_that_cannot_be_read_is_none(plane: DataPlane, value: str):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: (200, "refuse invalid_token")
    plane.set(MapEntry(shard(sha256("odd")), decision_key(ORDERS, sha256("odd")), value))

    assert plane.get(CALL, "odd").status == 401
    assert plane.backend.calls == []


@pytest.mark.parametrize(
    "value", ["garbage", "1|x|PUBLISHED|o|14|zz|00|d|1|-|-", "1|x|PUBLISHED|o|14|00|00|d|1|-|-"]
)
def test_a_route_that_cannot_be_read_lets_nobody_through(plane: DataPlane, value: str):
    name, key = route_map("my_company", "/odd/1"), "my_company/odd/1/"
    plane.set(MapEntry(name, key, value))

    answer = plane.get("/t/my_company/odd/1/x", TOKEN)

    assert (answer.status, answer.json()["code"]) == (500, "900900")


def test_without_its_plan_a_worker_holds_calls_and_then_answers_unavailable(plane: DataPlane):
    plane.decide(a_decision())
    plane.set(MapEntry(PLAN_MAP, PLAN_KEY, None))
    try:
        answer = plane.get(CALL, TOKEN)
        assert (answer.status, answer.json()["code"]) == (503, "900900")
        assert plane.get("/-/ready").status == 503
        assert plane.get("/token").status == 200
    finally:
        plane.set(MapEntry(PLAN_MAP, PLAN_KEY, "2"))
    assert plane.get(CALL, TOKEN).status == 200


def test_a_killed_agent_is_unavailable_at_once():
    with running(an_organization(), an_api(production=["http://backend"])) as plane:
        assert plane.agent is not None
        plane.agent.stop()
        (plane.folder / "agent.sock").unlink()
        begun = time.monotonic()

        answer = plane.get(CALL, TOKEN)

        assert answer.status == 503
        assert time.monotonic() - begun < 1.5


def test_a_deleted_decision_is_refused_on_a_connection_older_than_a_reload():
    with running(an_organization(), an_api(production=["http://backend"])) as plane:
        plane.decide(a_decision())
        slow = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=10)
        assert call_on(slow, "GET", CALL, TOKEN).status == 200
        plane.reload()
        plane.set(MapEntry(PLAN_MAP, PLAN_KEY, "1"))
        old = [worker for worker in plane.workers() if worker.old]

        plane.set(MapEntry(shard(sha256(TOKEN)), decision_key(ORDERS, sha256(TOKEN)), None))

        assert len(old) == 1
        assert call_on(slow, "GET", CALL, TOKEN).status == 401


def test_a_reload_drops_no_request():
    with running(an_organization(), an_api(production=["http://backend"])) as plane:
        assert plane.agent is not None
        plane.agent.answer = lambda *_: grant(a_decision())
        with ThreadPoolExecutor(4) as pool:
            over = Event()
            callers = [pool.submit(_call_until, over, plane) for _ in range(3)]
            try:
                plane.reload()
                plane.set(MapEntry(PLAN_MAP, PLAN_KEY, "1"))
                until(lambda: len(plane.workers()) == 1, what="the end of the old worker")
            finally:
                over.set()
            statuses = [status for caller in callers for status in caller.result()]

    assert statuses != []
    assert set(statuses) == {200}


def _call_until(over: Event, plane: DataPlane) -> list[int]:
    statuses = []
    while not over.is_set():
        statuses.append(plane.get(CALL, TOKEN).status)
    return statuses


def test_reloads_drop_no_request_of_http_2():
    with running(an_organization(), an_api(production=["http://backend"])) as plane:
        assert plane.agent is not None
        plane.agent.answer = lambda *_: grant(a_decision())
        with ThreadPoolExecutor(4) as pool:
            over = Event()
            callers = [pool.submit(_call_by_http_2_until, over, plane) for _ in range(3)]
            try:
                for _ in range(4):
                    plane.reload()
                    plane.set(MapEntry(PLAN_MAP, PLAN_KEY, "1"))
                    until(lambda: len(plane.workers()) == 1, what="the end of the old worker")
            finally:
                over.set()
            statuses = [status for caller in callers for status in caller.result()]

    assert statuses != []
    assert set(statuses) == {200}


def _call_by_http_2_until(over: Event, plane: DataPlane) -> list[int]:
    """Call on one connection as long as it takes calls; what it has not looked at may be sent again."""
    statuses = []
    while not over.is_set():
        with HTTP2(plane.tls_port, plane.folder / "ca.pem") as connection:
            while not over.is_set() and not connection.is_going_away:
                status = connection.get(CALL, TOKEN)
                statuses += [] if status is None else [status]
    return statuses


def test_a_configuration_that_does_not_load_changes_nothing():
    with running(an_organization(), an_api(production=["http://backend"])) as plane:
        plane.decide(a_decision())
        (plane.folder / "gateway.cfg").write_text("nonsense\n")

        with pytest.raises(Exception, match="reload failed"):
            plane.run(lambda runtime: runtime.reload())

        assert plane.get(CALL, TOKEN).status == 200


def test_a_form_that_trickles_reaches_no_worker():
    with running(an_organization()) as plane:
        head = b"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\ng"

        assert plane.raw(head).status == 408
