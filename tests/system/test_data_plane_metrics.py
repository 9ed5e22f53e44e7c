"""What HAProxy counts for Prometheus: refusals by API, its own numbers on a private socket."""

from collections.abc import Iterator

import httpx2
import pytest
from tests.system.data_plane import ORDERS, DataPlane, a_decision, an_api, an_organization, running
from tests.system.raw_backend import Connection, RawBackend

from ostiary.foundation.metrics import OTHER, read, write
from ostiary.gateway.node.measuring import from_haproxy, read_table

CALL = "/t/my_company/orders/1.0.0"
TOKEN = "a-token.of-ours"


MOODY = "00000000-0000-4000-8000-00000000000b"


def as_asked(connection: Connection) -> None:
    """Answer with the status that is the last segment of the path; nothing at all where that is a word."""
    status = connection.head.split()[1].rpartition(b"/")[2].decode()
    if status.isdigit():
        connection.send(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


@pytest.fixture(scope="module")
def answering() -> Iterator[RawBackend]:
    backend = RawBackend(as_asked)
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def plane(answering: RawBackend) -> Iterator[DataPlane]:
    moody = an_api(MOODY, context="/moody", name="Moody", production=[f"http://127.0.0.1:{answering.port}"])
    with running(an_organization(), an_api(production=["http://backend"]), moody) as built:
        built.decide(a_decision(), a_decision(api=MOODY))
        yield built


async def test_refusals_are_counted_by_api_and_name(plane: DataPlane):
    for _ in range(3):
        plane.get(f"{CALL}/42", "another")
    plane.get("/t/my_company/unknown/1.0.0")
    plane.get(f"{CALL}/42", TOKEN)

    socket = plane.folder / "gateway.stats.sock"
    table = await read_table(socket, "refused_calls")
    families = await from_haproxy(socket, plane.plan)

    assert table == {f"{ORDERS}|invalid_token": 3, "|not_found": 1}
    samples = {
        (one.labels["organization"], one.labels["api"], one.labels["refusal"]): one.value
        for family in read(write(families))
        for one in family.samples
        if one.name == "ostiary_gateway_refusals_total"
    }
    assert samples == {("my_company", "Orders 1.0.0", "invalid_token"): 3, ("", "", "not_found"): 1}


async def test_made_up_paths_make_no_series(plane: DataPlane):
    """CVE-2026-16100: labels from requests."""
    before = await read_table(plane.folder / "gateway.stats.sock", "refused_calls")
    for n in range(200):
        plane.get(f"/t/my_company/made-up-{n}/1.0.0/{n}", f"token-{n}")

    after = await read_table(plane.folder / "gateway.stats.sock", "refused_calls")
    assert after.keys() - before.keys() <= {"|not_found"}


async def test_a_table_that_is_not_there_has_no_entries(plane: DataPlane):
    assert await read_table(plane.folder / "gateway.stats.sock", "nothing") == {}
    assert await read_table(plane.folder / "no.sock", "refused_calls") == {}


async def test_haproxys_own_numbers_are_on_a_private_socket(plane: DataPlane):
    transport = httpx2.AsyncHTTPTransport(uds=str(plane.folder / "gateway.metrics.sock"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://metrics") as http:
        page = await http.get("/metrics/haproxy/gateway")
        others = [(await http.get(path)).status_code for path in ("/", "/decide", "/metrics", f"{CALL}/42")]
        posted = (await http.post("/metrics/gateway")).status_code

    assert "haproxy_frontend_http_responses_total" in page.text
    assert others == [404, 404, 404, 404]
    assert posted == 405


def test_the_gateway_listener_serves_no_numbers(plane: DataPlane):
    for path in ("/metrics", "/metrics/gateway", "/metrics/haproxy/gateway", "/own"):
        assert plane.get(path).status == 404


async def test_a_traced_call_is_decided_and_not_made(plane: DataPlane):
    transport = httpx2.AsyncHTTPTransport(uds=str(plane.folder / "gateway.trace.sock"))
    before = len(plane.backend.calls)
    async with httpx2.AsyncClient(transport=transport, base_url="http://trace") as http:
        allowed = await http.get(f"{CALL}/42", headers={"Authorization": f"Bearer {TOKEN}"})
        refused = await http.get(f"{CALL}/42", headers={"Authorization": "Bearer another"})

    assert allowed.json()["assertion"] == "header.assertion.signature"
    assert (allowed.json()["api"], allowed.json()["path"]) == (ORDERS, "/42")
    assert refused.status_code == 401
    assert len(plane.backend.calls) == before


def test_nobody_is_shown_an_assertion_at_the_listener(plane: DataPlane):
    answer = plane.get(f"{CALL}/42", TOKEN, so_name="trace", host="trace")

    assert "assertion" not in {name.lower() for name in answer.json()}


async def test_calls_let_through_are_counted_by_api_and_application(plane: DataPlane):
    async def counted() -> float:
        families = read(write(await from_haproxy(plane.folder / "gateway.stats.sock", plane.plan)))
        (calls,) = [family for family in families if family.name == "ostiary_gateway_calls"]
        wanted = {"organization": "my_company", "api": "Orders 1.0.0", "application": OTHER}
        return sum(one.value for one in calls.samples if one.labels == wanted)

    before = await counted()
    for _ in range(3):
        plane.get(f"{CALL}/42", TOKEN)
    plane.get(f"{CALL}/42", "another")

    assert await counted() == before + 3


async def test_answers_are_counted_by_api_and_class_of_status(plane: DataPlane, answering: RawBackend):
    async def counted() -> dict[str, float]:
        families = read(write(await from_haproxy(plane.folder / "gateway.stats.sock", plane.plan)))
        (answers,) = [family for family in families if family.name == "ostiary_gateway_answers"]
        about = {"organization": "my_company", "api": "Moody 1.0.0"}
        found = [(one.labels, one.value) for one in answers.samples if one.name.endswith("_total")]
        return {labels["class"]: value for labels, value in found if about.items() <= labels.items()}

    assert await counted() == {}
    for status in ("200", "204", "302", "404", "404", "500", "gone"):
        plane.get(f"/t/my_company/moody/1.0.0/{status}", TOKEN)

    assert await counted() == {"ok": 2, "3xx": 1, "4xx": 2, "5xx": 2}
