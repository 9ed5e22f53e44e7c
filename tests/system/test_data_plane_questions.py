"""Questions to the agent wait for their turn, and the slow ones among them keep nobody else out."""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from uuid import uuid4

import pytest
from tests.system.data_plane import TOKEN, DataPlane, a_decision, an_api, an_organization, grant, running
from tests.system.stand_ins import UnixHTTP
from tests.system.waiting import until

pytestmark = pytest.mark.alone

CALL = "/t/my_company/orders/1.0.0/x"
AGENT_DEADLINE = 0.8
"""Seconds HAProxy waits for an answer of the agent."""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    with running(an_organization(), an_api(production=["http://backend"])) as running_plane:
        yield running_plane


def test_more_calls_than_the_agent_answers_in_time_wait_for_their_turn(plane: DataPlane):
    """As when a reload has begun, and a worker has no decision yet."""
    assert plane.agent is not None
    tokens, turn = [("of-many-{}", "of.many.{}")[n % 2].format(n) for n in range(80)], Lock()

    def slowly(_path: str, body: bytes) -> tuple[int, str]:
        with turn:  # 1.6 seconds for all of them, one after another
            Event().wait(0.02)
        return grant(a_decision(json.loads(body)["credential"]))

    plane.agent.answer = slowly
    with ThreadPoolExecutor(len(tokens)) as pool:
        answers = list(pool.map(lambda token: plane.get(CALL, token), tokens))

    assert [answer.status for answer in answers] == [200] * len(tokens)


def test_who_waits_for_the_agent_is_served_by_a_decision_that_was_stored_meanwhile(plane: DataPlane):
    assert plane.agent is not None
    asked, before = Event(), len(plane.agent.asked)
    plane.agent.answer = lambda *_: asked.set()
    with ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(plane.get, CALL, TOKEN) for _ in range(40)]
        asked.wait(5)
        plane.decide(a_decision())
        statuses = [answer.result().status for answer in answers]

    assert set(statuses) == {200, 503}
    assert len(plane.agent.asked) - before == statuses.count(503) < 40


@pytest.mark.parametrize("slow", ["held-opaque-{}-{}", "held.jwt.of-an-unknown-key-{}-{}"])
def test_tokens_that_wait_for_the_control_plane_keep_no_jwt_and_no_api_key_out(slow: str):
    """Anybody can send these, and a control plane that hangs holds each for most of a second."""
    api = an_api(production=["http://backend"], security=["oauth2", "api_key"])
    with running(an_organization(), api) as plane, ThreadPoolExecutor(40) as pool:
        agent, over = _agent_held_by(plane, "held"), Event()
        waiting = [
            pool.submit(_call_until, over, plane, lambda n=n: slow.format(n, uuid4())) for n in range(40)
        ]
        until(lambda: _under_way(agent, "held") >= 8, what="questions for the control plane")

        jwts = [plane.get(CALL, f"a.jwt.{n}").status for n in range(8)]
        keys = [plane.get(CALL, apikey=f"key-{n}").status for n in range(8)]
        over.set()

    assert (jwts, keys) == ([200] * 8, [200] * 8)
    assert {status for one in waiting for status in one.result()} == {503}


def test_a_token_the_agent_cannot_judge_alone_is_asked_about_again_for_the_control_plane(plane: DataPlane):
    agent = _agent_held_by(plane, "nothing")
    before = len(agent.asked)

    tokens = ("known.jwt.1", "relayed.jwt.1", "an-opaque-token-1")
    statuses = [plane.get(CALL, token).status for token in tokens]

    asked = [json.loads(body) for _, body in agent.asked[before:]]
    assert statuses == [200] * 3
    assert [(one["credential"], one["relayed"]) for one in asked] == [
        ("known.jwt.1", False),
        ("relayed.jwt.1", False),
        ("relayed.jwt.1", True),
        ("an-opaque-token-1", True),
    ]


def test_an_agent_that_never_judges_is_unavailable(plane: DataPlane):
    assert plane.agent is not None
    plane.agent.answer = lambda *_: (200, "relay")

    assert [plane.get(CALL, token).status for token in ("never.judged.1", "never-judged-1")] == [503, 503]


def test_calls_that_are_cut_while_they_ask_hold_their_turns_no_longer_than_the_agent_needs():
    with running(an_organization(), an_api(production=["http://backend"]), threads=1) as plane:
        agent, waited = _agent_held_by(plane, "nothing"), []
        grants = agent.answer
        for wave in range(6):
            answers, before = Event(), len(agent.asked)
            agent.answer = lambda *miss, answers=answers: answers.wait(5) and grants(*miss)
            calls = [_call_with(plane, f"cut.jwt.{wave}-{n}") for n in range(4)]
            until(
                lambda before=before: len(agent.asked) == before + 4, what="as many questions as have a turn"
            )
            for call in calls:
                call.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with RST
                call.close()
            assert plane.get("/nothing/here").status == 404  # by then its one thread has been told
            begun = time.monotonic()
            answers.set()

            assert plane.get(CALL, f"a.good.jwt-{wave}").status == 200
            waited.append(time.monotonic() - begun)

    assert max(waited) < AGENT_DEADLINE


def _call_with(plane: DataPlane, token: str) -> socket.socket:
    """A call that is under way."""
    call = socket.create_connection(("127.0.0.1", plane.port))
    call.sendall(f"GET {CALL} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return call


def _agent_held_by(plane: DataPlane, beginning: str) -> UnixHTTP:
    """An agent that grants. Tokens that begin so, or with `relayed`, it has to ask the control plane about;
    that never answers about the former."""

    def answer(_path: str, body: bytes) -> tuple[int, str] | None:
        miss = json.loads(body)
        token = miss["credential"]
        if not miss["relayed"] and token.startswith((beginning, "relayed")):
            return 200, "relay"
        return None if token.startswith(beginning) else grant(a_decision(token))

    assert plane.agent is not None
    plane.agent.answer = answer
    return plane.agent


def _under_way(agent: UnixHTTP, beginning: str) -> int:
    """How many questions have no answer, because of how the token begins."""
    misses = [json.loads(body) for _, body in agent.asked]
    return sum(miss["relayed"] and miss["credential"].startswith(beginning) for miss in misses)


def _call_until(over: Event, plane: DataPlane, token: Callable[[], str]) -> list[int]:
    statuses = []
    while not over.is_set():
        statuses.append(plane.get(CALL, token()).status)
    return statuses
