"""A copy of the plan, page by page: it survives breaks and damage, loses no change, replaces only whole."""

from __future__ import annotations

from pathlib import Path

import httpx2
import orjson
import pytest
from pydantic import SecretStr
from tests.unit.gateway.builders import NOW, a_gateway_plan

from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown
from ostiary.gateway.node.copying import PlanCopy
from ostiary.gateway.node.disk import Disk
from ostiary.gateway.node.structure import Structure
from ostiary.gateway.plan import BadPlan, Entry, GatewayPlan, PlanAnswer, content_digest

PLAN = a_gateway_plan()
ENTRIES = PLAN.entries()
PAGES = [ENTRIES[:4], ENTRIES[4:9], ENTRIES[9:]]
REVOKED = Entry("revocation", "token:meanwhile", {"expires_at": 2**40})


def answer_of(answer: PlanAnswer) -> httpx2.Response:
    body = orjson.dumps(answer.to_wire())
    return httpx2.Response(200, content=body, headers={"Content-Digest": content_digest(body)})


def page(number: int, at: int = 7) -> httpx2.Response:
    following = f"page-{number + 1}" if number + 1 < len(PAGES) else None
    return answer_of(PlanAnswer(at, True, tuple(PAGES[number]), following))


def changes(*entries: Entry, number: int = 8, more: bool = False) -> httpx2.Response:
    return answer_of(PlanAnswer(number, False, entries, more=more))


class Scripted:
    """A control plane that answers as the test says, and notes what it was asked."""

    def __init__(self, **answers: list[httpx2.Response]) -> None:
        self.answers = {
            "": [page(0)],
            "page-1": [page(1)],
            "page-2": [page(2)],
            "after-7": [changes(number=7)],
            **{name.replace("_", "-"): several for name, several in answers.items()},
        }
        if "first" in answers:
            self.answers[""] = self.answers.pop("first")
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        after, asked = request.url.params["after"], request.url.params["page"]
        self.asked.append(asked if after == "0" else f"after-{after}")
        several = self.answers[self.asked[-1]]
        return several.pop(0) if len(several) > 1 else several[0]


def a_disk(folder: Path) -> Disk:
    return Disk(folder, Structure(folder / "maps"))


def a_copy(control_plane: Scripted, disk: Disk) -> PlanCopy:
    transport = httpx2.MockTransport(control_plane)
    return PlanCopy(ControlPlane([transport], SecretStr("credential")), disk, instead_of=0)


DOWN = httpx2.Response(503)
DAMAGED = httpx2.Response(
    200, content=page(1).content[:-9], headers={"Content-Digest": page(1).headers["content-digest"]}
)
NO_DIGEST = httpx2.Response(200, content=page(1).content)


async def test_the_pages_are_the_plan_in_memory_and_on_disk(tmp_path: Path):
    control_plane, disk = Scripted(), a_disk(tmp_path)

    plan = await a_copy(control_plane, disk).finish()
    await disk.adopt(plan.number, NOW)

    assert plan == PLAN
    assert a_disk(tmp_path).load_plan() == PLAN
    assert control_plane.asked == ["", "page-1", "page-2", "after-7"]


async def test_what_changed_during_the_copy_is_part_of_it(tmp_path: Path):
    gone = Entry("api", "api", None)
    parts = {"after_7": [changes(REVOKED, more=True)], "after_8": [changes(gone, number=9)]}
    disk = a_disk(tmp_path)

    plan = await a_copy(Scripted(**parts), disk).finish()
    await disk.adopt(plan.number, NOW)

    assert plan == PLAN.apply(9, [REVOKED, gone])
    assert a_disk(tmp_path).load_plan() == plan


@pytest.mark.parametrize("broken", ["page_1", "page_2", "after_7"])
async def test_a_copy_goes_on_where_it_was_broken_off(tmp_path: Path, broken: str):
    good = {"page_1": page(1), "page_2": page(2), "after_7": changes(number=7)}[broken]
    control_plane = Scripted(**{broken: [DOWN, DOWN, good]})
    copy = a_copy(control_plane, a_disk(tmp_path))
    for _ in range(2):
        with pytest.raises(ControlPlaneDown):
            await copy.finish()

    assert await copy.finish() == PLAN
    assert [control_plane.asked.count(name) for name in ("", "page-1", "page-2", "after-7")] == [
        3 if name == broken else 1 for name in ("first", "page_1", "page_2", "after_7")
    ]


@pytest.mark.parametrize("damaged", [DAMAGED, NO_DIGEST])
async def test_a_damaged_page_is_asked_for_again(tmp_path: Path, damaged: httpx2.Response):
    control_plane = Scripted(page_1=[damaged, damaged, page(1)])

    assert await a_copy(control_plane, a_disk(tmp_path)).finish() == PLAN


@pytest.mark.parametrize(
    "answers",
    [
        {"page_1": [DAMAGED]},
        {"page_1": [NO_DIGEST]},
        {"page_1": [page(1, at=6)]},
        {"page_1": [changes(REVOKED)]},
        {"page_1": [httpx2.Response(400)]},
        {"after_7": [httpx2.Response(410)]},
        {"after_7": [page(0)]},
    ],
    ids=["damaged", "no digest", "another number", "changes", "unknown", "too old", "everything again"],
)
async def test_a_copy_that_cannot_be_made_whole_is_none_and_the_plan_before_stays(
    tmp_path: Path, answers: dict[str, list[httpx2.Response]]
):
    disk = a_disk(tmp_path)
    await disk.stage(PLAN.entries(), first=True)
    await disk.adopt(PLAN.number, NOW)

    with pytest.raises(BadPlan):
        await a_copy(Scripted(**answers), disk).finish()

    assert a_disk(tmp_path).load_plan() == PLAN


async def test_a_control_plane_that_knows_no_pages_answers_with_one(tmp_path: Path):
    control_plane = Scripted(first=[answer_of(PlanAnswer(7, True, tuple(ENTRIES)))])

    assert await a_copy(control_plane, a_disk(tmp_path)).finish() == PLAN
    assert control_plane.asked == ["", "after-7"]


async def test_where_nothing_was_ever_changed_there_is_no_plan(tmp_path: Path):
    control_plane = Scripted(first=[answer_of(PlanAnswer(0, True, ()))])

    assert await a_copy(control_plane, a_disk(tmp_path)).finish() == GatewayPlan()
