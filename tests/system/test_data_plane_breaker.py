"""How many failures are too many, and for how long then: what an API says of its own backend."""

import time
from collections.abc import Iterator

import pytest
from tests.system.data_plane import TOKEN, Answer, DataPlane, a_decision, an_api, an_organization
from tests.system.raw_backend import Connection, RawBackend, answers
from tests.system.stand_ins import Backend
from tests.system.waiting import until

from ostiary.gateway.plan import GatewayPlan

PAUSE = 3
BREAKERS = {"patient": {"breaker_failures": 8}, "strict": {"breaker_failures": 2}, "usual": {}}


class Moody(RawBackend):
    """Hangs up without a word while it is in the mood, and counts who asks."""

    def __init__(self) -> None:
        self.fails = False
        self.asked = 0
        super().__init__(self._answer)

    def _answer(self, connection: Connection) -> None:
        self.asked += 1
        if not self.fails:
            answers(b"ok")(connection)


@pytest.fixture
def moody() -> Iterator[Moody]:
    backend = Moody()
    yield backend
    backend.stop()


@pytest.fixture
def plane(moody: Moody) -> Iterator[DataPlane]:
    url = f"http://127.0.0.1:{moody.port}"
    apis = [
        an_api(name, context=f"/{name}", production=[url], breaker_pause_seconds=PAUSE, **breaker)
        for name, breaker in BREAKERS.items()
    ]
    plane = DataPlane(GatewayPlan().apply(1, [an_organization(), *apis]), Backend())
    try:
        plane.start()
        plane.decide(*(a_decision(api=one.id) for one in apis))
        yield plane
    finally:
        plane.stop()


def call(plane: DataPlane, api: str) -> Answer:
    return plane.get(f"/t/my_company/{api}/1.0.0/x", TOKEN)


@pytest.mark.parametrize(("api", "failures"), [("patient", 8), ("strict", 2), ("usual", 5)])
def test_so_many_failures_in_a_row_are_enough(plane: DataPlane, moody: Moody, api: str, failures: int):
    moody.fails = True

    statuses = [call(plane, api).status for _ in range(failures + 3)]

    assert statuses == [502] * failures + [503] * 3
    assert moody.asked == failures


def test_an_answer_between_them_ends_the_row(plane: DataPlane, moody: Moody):
    for _ in range(3):
        moody.fails = True
        assert [call(plane, "patient").status for _ in range(7)] == [502] * 7
        moody.fails = False
        assert call(plane, "patient").status == 200


def test_it_is_left_alone_as_long_as_the_api_says_and_then_tried_once(plane: DataPlane, moody: Moody):
    moody.fails = True
    while call(plane, "strict").status == 502:
        pass
    broken, asked = time.monotonic(), moody.asked

    until(lambda: call(plane, "strict").status == 502, PAUSE + 2, "the next try")

    assert PAUSE - 1 <= time.monotonic() - broken <= PAUSE + 1
    assert moody.asked == asked + 1
    assert call(plane, "strict").status == 503


def test_callers_are_told_how_long_it_is_left_alone(plane: DataPlane, moody: Moody):
    moody.fails = True
    while (answer := call(plane, "strict")).status == 502:
        pass
    assert answer.headers["retry-after"] in {str(PAUSE), str(PAUSE - 1)}  # the second may have turned

    until(lambda: call(plane, "strict").headers.get("retry-after") == "1", PAUSE, "less to wait")


def test_it_serves_again_once_a_try_is_answered(plane: DataPlane, moody: Moody):
    moody.fails = True
    while call(plane, "strict").status == 502:
        pass
    moody.fails = False

    until(lambda: call(plane, "strict").status == 200, PAUSE + 2, "an answer")

    assert [call(plane, "strict").status for _ in range(5)] == [200] * 5
    moody.fails = True
    assert [call(plane, "strict").status for _ in range(3)] == [502, 502, 503]


def test_another_api_of_the_same_backend_has_a_row_of_its_own(plane: DataPlane, moody: Moody):
    moody.fails = True
    for _ in range(4):
        call(plane, "strict")

    assert call(plane, "patient").status == 502
