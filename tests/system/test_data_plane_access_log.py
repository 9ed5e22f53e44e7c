"""The access log: valid JSON whatever is sent, complete, without secrets; and `traceparent` on its way."""

import json
import random
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.house.repository_files import ROOT
from tests.system.data_plane import (
    DataPlane,
    a_decision,
    an_api,
    an_organization,
    running,
)
from tests.system.waiting import until

from ostiary.gateway.haproxy.access_log import FIELDS, NOTHING

CALL = "/t/my_company/orders/1.0.0"
TOKEN = "a-token.of-ours"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    api = an_api(
        production=["http://backend"], resources=[("GET", "/*", ()), ("POST", "/", ["orders:write"])]
    )
    with running(an_organization(), api) as built:
        built.decide(a_decision(scopes=["orders:read", 'odd"scope\\']))
        yield built


def _lines(plane: DataPlane) -> list[dict[str, Any]]:
    return [json.loads(line) for line in plane.logged().splitlines() if line.startswith("{")]


def _line(plane: DataPlane, request_id: str) -> dict[str, Any]:
    return until(
        lambda: next((one for one in _lines(plane) if one["request_id"] == request_id), None), what="the line"
    )


def test_a_refused_call_is_one_line_with_every_field(plane: DataPlane):
    answer = plane.call("POST", f"{CALL}/?code=a-secret", TOKEN, b"{}")

    line = _line(plane, answer.headers["x-request-id"])

    assert list(line) == ["event", "node", *(field.name for field in FIELDS)]
    times = {name: line.pop(name) for name in ("milliseconds", "backend_milliseconds", "bytes_in", "bytes")}
    assert all(isinstance(value, int) for value in times.values())
    assert re.fullmatch("[0-9a-f]{32}", line.pop("trace_id"))
    assert line == {
        "event": "access",
        "node": "embedded",
        "request_id": answer.headers["x-request-id"],
        "organization": "my_company",
        "api": "00000000-0000-4000-8000-00000000000a",
        "application": "application-1",
        "method": "POST",
        "path": f"{CALL}/",
        "status": 403,
        "refusal": "insufficient_scope",
        "code": "900910",
        "wanted": "orders:write",
        "had": 'odd"scope\\ orders:read',
        "client": "127.0.0.1",
        "backend": "refusals",
        "termination": "LR",
    }


def test_what_is_not_there_is_a_dash(plane: DataPlane):
    answer = plane.get("/t/my_company/unknown/1.0.0")

    line = _line(plane, answer.headers["x-request-id"])
    assert [name for name, value in line.items() if value == NOTHING] == [
        *("organization", "api", "application", "wanted", "had")
    ]


def test_a_call_that_went_well_is_not_logged(plane: DataPlane):
    answer = plane.get(f"{CALL}/42", TOKEN)
    refused = plane.get(f"{CALL}/42", "another")

    _line(plane, refused.headers["x-request-id"])

    assert answer.status == 200
    assert answer.headers["x-request-id"] not in plane.logged()


@pytest.mark.parametrize(("setting", "logged"), [("all", [200, 401]), ("off", [])])
def test_the_setting_decides_what_is_logged(setting: str, logged: list[int]):
    with running(an_organization(), an_api(production=["http://backend"]), access_log=setting) as plane:
        plane.decide(a_decision())
        plane.get(f"{CALL}/42", TOKEN)
        plane.get(f"{CALL}/42", "another")
        until(lambda: sum(1 for line in _lines(plane) if line["api"]) >= len(logged), what="the lines")
        plane.stop_haproxy()

        assert [line["status"] for line in _lines(plane) if line["api"]] == logged


def _hostile(seed: int) -> bytes:
    made = random.Random(seed)
    weird = [
        *map(bytes, ([n] for n in range(256) if n not in (10, 13, 32))),
        b"%22",
        b"%5C",
        b"%00",
        b"\\u0022",
    ]
    method = b"".join(made.choices([b"GET", b'"', b"\\", b"{", b"!", b"|", b"%"], k=made.randint(1, 3)))
    path = b"".join(made.choices(weird, k=made.choice([1, 20, 600, 4000])))
    name = b"".join(made.choices([b"a", b"-", b'"', b"}"], k=3))
    return b"%s /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s: y\r\n\r\n" % (method, path, name)


def test_hostile_methods_and_paths_leave_every_line_valid(plane: DataPlane):
    for seed in range(300):
        with socket.create_connection(("127.0.0.1", plane.port), timeout=10) as connection:
            connection.sendall(_hostile(seed))
            while connection.recv(65536):
                pass
    last = plane.get(f"{CALL}/42", "another").headers["x-request-id"]
    _line(plane, last)

    for line in plane.logged().splitlines():
        assert line.startswith(("{", "[")), line
    assert len(_lines(plane)) > 200
    assert all(list(line)[:2] == ["event", "node"] for line in _lines(plane))


@pytest.mark.parametrize(
    "given", [TRACEPARENT, TRACEPARENT[:-1] + "0", "cc" + TRACEPARENT[2:] + "-what.the.future.holds"]
)
def test_a_traceparent_is_passed_on_unchanged_and_logged(plane: DataPlane, given: str):
    """W3C Trace Context §3.2."""
    seen = plane.get(f"{CALL}/42", TOKEN, traceparent=given, tracestate="a=1,b=2").json()["headers"]
    refused = plane.get(f"{CALL}/42", "another", traceparent=given)

    assert [value for name, value in seen if name == "traceparent"] == [given]
    assert [value for name, value in seen if name == "tracestate"] == ["a=1,b=2"]
    assert _line(plane, refused.headers["x-request-id"])["trace_id"] == given[3:35]


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        "ff" + TRACEPARENT[2:],
        TRACEPARENT + "-more",
        TRACEPARENT.upper(),
        TRACEPARENT + "," + TRACEPARENT,
        '"}\\' * 100,
        "x" * 8000,
    ],
)
def test_a_missing_or_hostile_traceparent_is_replaced(plane: DataPlane, given: str | None):
    """W3C Trace Context §3.2.2, §4.3."""
    headers = {} if given is None else {"traceparent": given}
    answer = plane.get(f"{CALL}/42", TOKEN, **headers, tracestate="a=1")
    seen = answer.json()["headers"]

    (made,) = [value for name, value in seen if name == "traceparent"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)
    assert made[3:35] == answer.headers["x-request-id"].replace("-", "")
    assert [name for name, _ in seen if name == "tracestate"] == []


def test_the_guide_explains_every_field():
    page = (ROOT / "docs/how-to/see-what-is-going-on.md").read_text()

    assert [field.name for field in FIELDS if f"`{field.name}`" not in page] == []
