"""Backends of an API's own: several addresses, health checks, time-outs, certificates."""

import time
from collections.abc import Iterator

import pytest
from tests.support.certificates import Authority
from tests.system.data_plane import (
    TOKEN,
    Answer,
    DataPlane,
    a_decision,
    an_api,
    an_organization,
    free_port,
)
from tests.system.raw_backend import Connection, RawBackend, answers
from tests.system.stand_ins import Backend
from tests.system.waiting import until

from ostiary.foundation.certificates import Purpose
from ostiary.gateway.haproxy import OWN_MAP
from ostiary.gateway.plan import Entry, GatewayPlan


def call(plane: DataPlane, api: str, **headers: str) -> Answer:
    return plane.get(f"/t/my_company/{api}/1.0.0/x", TOKEN, **headers)


def started(*apis: Entry) -> DataPlane:
    plane = DataPlane(GatewayPlan().apply(1, [an_organization(), *apis]), Backend())
    plane.start()
    plane.decide(*(a_decision(api=one.id) for one in apis))
    return plane


class Watched(RawBackend):
    """Answers `/healthz` as `health` says and everything else with 200; remembers what it was asked."""

    def __init__(self) -> None:
        self.health = "200 OK"
        self.asked: list[bytes] = []
        super().__init__(self._answer)

    def _answer(self, connection: Connection) -> None:
        checked = b" /healthz " in connection.head
        if not checked:
            self.asked.append(connection.head)
        else:
            self.checked = connection.head
        answers(b"ok", self.health if checked else "200 OK")(connection)


@pytest.fixture(scope="module")
def watched() -> Iterator[list[Watched]]:
    backends = [Watched(), Watched()]
    yield backends
    for one in backends:
        one.stop()


@pytest.fixture(scope="module")
def plane(watched: list[Watched]) -> Iterator[DataPlane]:
    urls = [f"http://orders.example:{one.port}/base" for one in watched]
    plane = started(
        an_api("checked", context="/checked", production=urls, health_check="/healthz"),
        an_api(
            "half-dead", context="/half-dead", production=[f"http://127.0.0.1:{free_port()}/base", urls[0]]
        ),
        an_api("alone", context="/alone", production=[urls[0]], connect_timeout_ms=200, timeout_ms=300),
        an_api("shared", context="/shared", production=[urls[0]], timeout_ms=300),
    )
    try:
        yield plane
    finally:
        plane.stop()


@pytest.fixture(autouse=True)
def _well(watched: list[Watched]) -> None:
    for one in watched:
        one.asked.clear()


def test_several_addresses_take_turns(plane: DataPlane, watched: list[Watched]):
    assert {call(plane, "checked").status for _ in range(10)} == {200}

    assert [len(one.asked) for one in watched] == [5, 5]


def test_the_backend_gets_what_every_backend_gets(plane: DataPlane, watched: list[Watched]):
    answer = call(plane, "alone", X_JWT_Assertion="forged", Connection="X-JWT-Assertion")

    (asked,) = watched[0].asked
    assert asked.startswith(b"GET /base/x HTTP/1.1\r\n")
    lines = dict(line.split(b": ", 1) for line in asked.lower().split(b"\r\n")[1:] if line)
    assert lines[b"x-jwt-assertion"] == b"header.assertion.signature"
    assert lines[b"host"] == f"orders.example:{watched[0].port}".encode()
    assert lines[b"x-request-id"] == answer.headers["x-request-id"].encode()
    assert b"authorization" not in lines
    assert b"connection" not in lines


def test_an_address_that_is_dead_costs_no_call(plane: DataPlane):
    assert {call(plane, "half-dead").status for _ in range(20)} == {200}


def test_an_address_whose_health_check_fails_gets_no_call(plane: DataPlane, watched: list[Watched]):
    watched[1].health = "500 Internal Server Error"
    try:
        until(lambda: _is_down(plane), 10, what="the address being left out")
        watched[1].asked.clear()
        statuses = {call(plane, "checked").status for _ in range(10)}
        asked = [len(one.asked) for one in watched]
    finally:
        watched[1].health = "200 OK"
        until(lambda: not _is_down(plane), 10, what="the address being used again")

    assert statuses == {200}
    assert asked[1] == 0
    assert f"host: orders.example:{watched[0].port}".encode() in watched[0].checked.lower()


def _is_down(plane: DataPlane) -> bool:
    """HAProxy's state of the second server: 0 is stopped."""
    lines = plane.told("show servers state own-checked-production").splitlines()
    return any(
        line.split()[3] == "own-checked-production-2" and line.split()[5] == "0" for line in lines[2:] if line
    )


@pytest.mark.parametrize("api", ["alone", "shared"])
def test_an_answer_is_waited_for_as_long_as_the_api_says(plane: DataPlane, watched: list[Watched], api: str):
    silent = watched[0].handle
    watched[0].handle = lambda _: bool(watched[0].stopping.wait(5))
    begun = time.monotonic()
    try:
        answer = call(plane, api)
    finally:
        watched[0].handle = silent

    assert (answer.status, answer.json()["code"]) == (504, "101504")
    assert time.monotonic() - begun < 5  # the gateway's own time-out is 30 seconds


def test_a_worker_without_the_backend_refuses_and_does_not_guess(plane: DataPlane, watched: list[Watched]):
    """As a worker from before the reload that brought the backend."""
    own_map = plane.folder / "maps" / OWN_MAP
    text = own_map.read_text()
    own_map.write_text("")
    plane.reload()
    own_map.write_text(text)
    until(
        lambda: call(plane, "alone").json()["description"] == "The gateway is starting", what="the new worker"
    )

    assert [one for one in watched[0].asked if b"ostiary-health-check" not in one] == []


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataPlane]:
    """A backend with a certificate for orders.example and its address, of an authority of its own."""
    folder = tmp_path_factory.mktemp("tls")
    ours, clients, stranger = Authority(), Authority(), Authority()
    plain, mutual = Backend(), Backend()
    plain.speak_tls(ours.server(folder, "orders.example", "127.0.0.1"))
    mutual.speak_tls(ours.server(folder, "mutual.example", clients=clients))
    certificate, key = clients.issue("gateway", purpose=Purpose.CLIENT)
    foreign, foreign_key = stranger.issue("gateway", purpose=Purpose.CLIENT)
    named, by_address = f"https://orders.example:{plain.port}", f"https://127.0.0.1:{plain.port}"
    to_mutual = [f"https://mutual.example:{mutual.port}"]

    def api(name: str, *urls: str, **how: object) -> Entry:
        return an_api(name, context=f"/{name}", production=urls, **how)

    plane = started(
        api("own-ca", named, ca=ours.ca),
        api("no-ca", named),
        api("other-ca", named, ca=stranger.ca),
        api("other-name", named.replace("orders", "other"), ca=ours.ca),
        api("address", by_address, ca=ours.ca, server_name="orders.example"),
        api("address-other-name", by_address, ca=ours.ca, server_name="other.example"),
        api("address-no-name", by_address, ca=ours.ca),
        api("checked", named, ca=ours.ca, health_check="/healthz"),
        api("mutual", *to_mutual, ca=ours.ca, client_certificate=certificate, client_key=key),
        api("mutual-without", *to_mutual, ca=ours.ca),
        api("mutual-stranger", *to_mutual, ca=ours.ca, client_certificate=foreign, client_key=foreign_key),
    )
    try:
        yield plane
    finally:
        plane.stop()
        plain.stop()
        mutual.stop()


@pytest.mark.parametrize("api", ["own-ca", "address", "checked", "mutual"])
def test_a_backend_that_proves_itself_is_called(tls: DataPlane, api: str):
    assert call(tls, api).status == 200


@pytest.mark.parametrize(
    "api", ["no-ca", "other-ca", "other-name", "address-other-name", "mutual-without", "mutual-stranger"]
)
def test_a_backend_that_does_not_or_wants_more_of_us_is_not(tls: DataPlane, api: str):
    assert call(tls, api).status in (502, 503)


def test_https_to_an_address_without_a_name_to_compare_is_never_tried(tls: DataPlane):
    """HAProxy would compare the address with names only, and take any certificate or none."""
    answer = call(tls, "address-no-name")

    assert (answer.status, answer.json()["code"]) == (503, "900900")
