"""A refusal arrives, also where the body of what was refused is still on its way."""

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest
from tests.system.data_plane import DataPlane, an_api, an_organization, call_on, running
from tests.system.http_2 import HTTP2
from tests.system.uploads import upload

CALL = "/t/my_company/orders/1.0.0/x"
MEGABYTE = 2**20
SAID = ("content-type", "content-length", "www-authenticate", "cache-control")


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    api = an_api(production=["http://backend"], resources=[("POST", "/*", ())])
    with running(an_organization(), api) as started:
        assert started.agent is not None
        started.agent.answer = lambda *_: (200, "refuse not_subscribed\n")
        yield started


@pytest.mark.parametrize("size", [1, 16_000, 60_000, MEGABYTE])
def test_over_http_2_the_stream_of_a_refused_call_ends_without_an_error(plane: DataPlane, size: int):
    """RFC 9113 §8.1: curl gives up an answer whose stream is then said to be in error."""
    with HTTP2(plane.tls_port, plane.folder / "ca.pem") as connection:
        for _ in range(5):
            assert connection.post(CALL, "a.refused.token", b"x" * size) == (403, set())


@pytest.mark.parametrize("size", [1, 16_000, 60_000, MEGABYTE, 5 * MEGABYTE])
@pytest.mark.parametrize("chunked", [False, True])
def test_over_http_1_whoever_sends_all_of_the_body_first_reads_the_refusal(
    plane: DataPlane, size: int, chunked: bool
):
    connection = HTTPConnection("127.0.0.1", plane.port, timeout=10)
    for _ in range(3):
        status, said = upload(connection, CALL, size, chunked=chunked)
        assert status == 403
        assert b"900908" in said
    connection.close()


def test_a_refusal_says_the_same_whatever_the_body(plane: DataPlane):
    answers, whole = [], []
    for size in (0, 1, MEGABYTE):
        connection = HTTPConnection("127.0.0.1", plane.port, timeout=10)
        answer = call_on(connection, "POST", CALL, None, b"x" * size, Accept="application/xml")
        headers = {name: answer.headers[name] for name in SAID}
        answers.append((answer.status, headers, answer.body))
        whole.append(answer)
        connection.close()

    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 401
    assert answers[0][1]["content-type"] == "application/xml"
    assert all(answer.headers["x-request-id"] for answer in whole)


def test_who_asks_first_whether_to_send_the_body_is_refused_at_once(plane: DataPlane):
    """RFC 9110 §10.1.1: the body is not asked for."""
    with socket.create_connection(("127.0.0.1", plane.port), timeout=2) as connection:
        head = f"POST {CALL} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        response = HTTPResponse(connection)
        response.begin()

    assert response.status == 401
