"""Backends that fail, hang or lie: whose calls they cost, and how soon they are tried again."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.system.data_plane import (
    DEFAULT,
    TOKEN,
    Answer,
    DataPlane,
    a_decision,
    an_api,
    an_organization,
    running,
)
from tests.system.raw_backend import RawBackend, answers, hangs_up
from tests.system.waiting import until


@pytest.fixture
def moody() -> Iterator[RawBackend]:
    """A backend that at first hangs up without an answer."""
    backend = RawBackend(hangs_up)
    yield backend
    backend.stop()


@pytest.fixture
def plane(moody: RawBackend) -> Iterator[DataPlane]:
    """Two organizations with an API at the moody backend, and one with two addresses, one of them moody."""
    url = f"http://127.0.0.1:{moody.port}"
    apis = (
        an_api("moody", context="/moody", production=[url]),
        an_api("of-others", context="/of-others", production=[url], organization_id=DEFAULT),
        an_api("both", context="/both", production=[url, "http://backend/base"]),
        an_api("good", context="/good", production=["http://backend"]),
    )
    organizations = (an_organization(), an_organization(DEFAULT, "default"))
    with running(*organizations, *apis, calls_per_target=3) as plane:
        plane.decide(*(a_decision(api=one) for one in ("moody", "both", "good")))
        plane.decide(a_decision(api="of-others", organization_id=DEFAULT))
        yield plane


def call(plane: DataPlane, api: str, **headers: str) -> Answer:
    prefix = "" if api == "of-others" else "/t/my_company"
    return plane.get(f"{prefix}/{api}/1.0.0/x", TOKEN, **headers)


def failed(plane: DataPlane) -> None:
    """Make the backend be left alone, as far as this organization is concerned."""
    until(lambda: call(plane, "moody").status == 503, what="the backend being left alone")


def test_a_backend_that_keeps_failing_is_answered_for_at_once(plane: DataPlane, moody: RawBackend):
    statuses = [call(plane, "moody").status for _ in range(5)]
    failed(plane)
    tried = moody.accepted

    answer = call(plane, "moody")

    assert statuses == [502] * 5
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {
        "code": "303001",
        "message": "Runtime Error",
        "description": "The backend of the API keeps failing and is tried again shortly",
    }
    assert moody.accepted - tried <= 1


def test_a_failing_backend_costs_no_other_organization_a_call(plane: DataPlane, moody: RawBackend):
    failed(plane)
    moody.handle = answers()

    assert call(plane, "of-others").status == 200


def test_a_backend_that_is_well_again_is_found_within_seconds(plane: DataPlane, moody: RawBackend):
    failed(plane)
    moody.handle = answers()

    until(lambda: call(plane, "moody").status == 200, what="the backend being tried again")

    assert [call(plane, "moody").status for _ in range(10)] == [200] * 10


def test_answers_of_a_backend_are_no_failures_whatever_they_say(plane: DataPlane, moody: RawBackend):
    moody.handle = answers(b"broken", "503 Service Unavailable")

    seen = [call(plane, "moody") for _ in range(8)]

    assert {(one.status, one.body) for one in seen} == {(503, b"broken")}


def test_of_several_addresses_one_that_keeps_failing_is_left_out(plane: DataPlane, moody: RawBackend):
    failed(plane)

    statuses = [call(plane, "both").status for _ in range(20)]

    assert statuses.count(200) >= 18


def test_a_backend_that_never_answers_holds_no_more_than_its_share(plane: DataPlane, moody: RawBackend):
    enough = threading.Event()
    moody.handle = lambda _: bool(enough.wait(20))
    with ThreadPoolExecutor(3) as threads:
        hanging = [threads.submit(call, plane, "moody") for _ in range(3)]
        until(lambda: moody.accepted == 3, what="three calls under way")
        begun = time.monotonic()

        fourth, other = call(plane, "moody"), call(plane, "good")

        assert time.monotonic() - begun < 5  # and not the time-out
        enough.set()
        assert [one.result().status for one in hanging] == [502] * 3
    assert (fourth.status, fourth.headers["retry-after"]) == (503, "1")
    assert fourth.json()["description"] == "The backend of the API has too many calls under way"
    assert other.status == 200
    assert call(plane, "moody").status == 502


def test_what_haproxy_says_of_a_backend_is_json_or_xml_as_asked(plane: DataPlane):
    as_json, as_xml = call(plane, "moody"), call(plane, "moody", Accept="text/xml, */*;q=0.1")

    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json() == {
        "code": "101500",
        "message": "Runtime Error",
        "description": "The backend did not answer as HTTP",
    }
    assert as_xml.headers["content-type"] == "application/xml"
    assert as_xml.body.decode() == (
        '<ams:fault xmlns:ams="http://wso2.org/apimanager/security"><ams:code>101500</ams:code>'
        "<ams:message>Runtime Error</ams:message>"
        "<ams:description>The backend did not answer as HTTP</ams:description></ams:fault>"
    )
    assert as_json.headers["x-request-id"]
    assert as_xml.headers["x-request-id"]


def test_a_backends_own_answer_keeps_its_type(plane: DataPlane, moody: RawBackend):
    moody.handle = answers(b"{}", "502 Bad Gateway\r\nContent-Type: application/json")

    answer = call(plane, "moody", Accept="application/xml")

    assert (answer.headers["content-type"], answer.body) == ("application/json", b"{}")
