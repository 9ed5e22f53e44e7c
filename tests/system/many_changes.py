"""Configuration changes one after the other, each there and back again, and how soon each is felt."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from tests.system.callers import Calls
from tests.system.scenes import (
    INVALID,
    OK,
    Ask,
    Make,
    Scene,
    World,
    anew,
    application,
    assertion,
    become,
    both_keys,
    thrice,
    which_backend,
)

PATIENCE = 10.0
"""Seconds after which a change counts as lost."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change and the answer that tells that it is felt."""

    what: str
    make: Make
    ask: Ask
    then: object


@dataclass(frozen=True, slots=True)
class Felt:
    """How soon a change was felt."""

    what: str
    seconds: float
    took: float
    """Seconds from asking for the change until its commit was acknowledged."""


def here_and_back(ask: Ask, one: tuple[str, Make, object], other: tuple[str, Make, object]) -> list[Step]:
    return [Step(what, make, ask, then) for what, make, then in (one, other)]


def revoke(s: Scene) -> None:
    s.revoke(s.kept())


def get_a_token(s: Scene) -> None:
    """Forget those there are; the next call gets another one."""
    for name in ("token", "sandbox"):
        s.notes.pop(name, None)


STEPS: list[list[Step]] = [
    here_and_back(
        both_keys,
        ("subscription blocked", lambda s: s.state("BLOCKED"), ((401, "900907"),) * 2),
        ("subscription unblocked", lambda s: s.state("UNBLOCKED"), (OK, OK)),
    ),
    here_and_back(
        application,
        ("unsubscribed", lambda s: s.unsubscribe(), (403, "900908")),
        ("subscribed", lambda s: s.subscribe(), OK),
    ),
    here_and_back(
        application,
        ("resource takes a scope", lambda s: s.change_api(("GET", "/*", ["write"])), (403, "900910")),
        ("resource takes none", lambda s: s.change_api(("GET", "/*", [])), OK),
    ),
    here_and_back(
        application,
        ("resource removed", lambda s: s.change_api(("GET", "/other", [])), (404, "900906")),
        ("resource added", lambda s: s.change_api(("GET", "/*", [])), OK),
    ),
    here_and_back(
        application,
        ("API blocked", lambda s: s.admin.move(s.api, "BLOCKED"), (503, "700700")),
        ("API published again", lambda s: s.admin.move(s.api, "PUBLISHED"), OK),
    ),
    here_and_back(
        application,
        ("API withdrawn", lambda s: s.admin.move(s.api, "CREATED"), (404, "404")),
        ("API published", lambda s: s.admin.move(s.api, "PUBLISHED"), OK),
    ),
    here_and_back(
        which_backend,
        ("backend moved", lambda s: s.change_api(production=s.world.other_url), "the other"),
        ("backend moved back", lambda s: s.change_api(), "the first"),
    ),
    here_and_back(
        thrice,
        ("limit lowered", lambda s: s.plan(1), (429, "900804")),
        ("limit raised", lambda s: s.plan(1_000_000), OK),
    ),
    here_and_back(
        application,
        ("token revoked", revoke, INVALID),
        ("another token issued", get_a_token, OK),
    ),
    here_and_back(
        anew,
        ("client disabled", lambda s: s.change_client(disabled=True), (401, "invalid_client")),
        ("client enabled", lambda s: s.change_client(disabled=False), OK),
    ),
    here_and_back(
        assertion,
        ("application renamed", lambda s: rename(s, f"again {s.name}"), "another name"),
        ("application renamed back", lambda s: rename(s, s.name), "its first name"),
    ),
]


def rename(s: Scene, name: str) -> None:
    s.ask("PUT", f"/apim/v1/applications/{s.mine.id}", {"name": name, "owner": "owner"})


EVERY_CHANGE = 2 * len(STEPS)
"""So many changes make every one of them there and back again."""


def changes(world: World, number: int, done: Callable[[int], None] = lambda _: None) -> list[Felt]:
    """Make so many changes, each when the one before is felt."""
    scenes = scenes_of(world)
    for scene in scenes:
        become(scene, application, OK)
    felt = []
    for scene, step in islice(_round(scenes), number):
        felt.append(_made(scene, step))
        done(len(felt))
    return felt


def scenes_of(world: World) -> list[Scene]:
    """Make what the changes are about."""
    return [Scene(world, world.organization("changing")) for _ in STEPS]


def change_everything(scenes: list[Scene]) -> None:
    """Make every change there and back again, so that nothing is more than before."""
    for scene, step in islice(_round(scenes), EVERY_CHANGE):
        get_a_token(scene)
        _made(scene, step)


def _round(scenes: list[Scene]) -> Iterator[tuple[Scene, Step]]:
    while True:
        for there in range(2):
            for scene, steps in zip(scenes, STEPS, strict=True):
                yield scene, steps[there]


def _made(scene: Scene, step: Step) -> Felt:
    began = time.monotonic()
    step.make(scene)
    committed = time.monotonic()
    while (answer := step.ask(scene)) != step.then:
        assert time.monotonic() < committed + PATIENCE, f"{step.what} is lost: {answer}"
        time.sleep(0.002)
    return Felt(step.what, time.monotonic() - committed, committed - began)


def steady_calls(world: World, callers: int, pause: float = 0.01) -> list[Calls]:
    """Applications of another organization and of the one that changes, which call all the time."""
    steady = []
    for number in range(callers):
        scene = Scene(world, world.organization("changing" if number % 2 else "steady"))
        become(scene, application, (200, ""))
        path = f"/t/{scene.admin.organization}/{scene.name}/1.0.0/1"
        steady.append(Calls(path, scene.kept(), pause=pause))
    return steady


def quantile(values: list[float], part: float) -> float:
    """The value below which that part of the values lies."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def summary(felt: list[Felt]) -> str:
    """The quantiles of commit → effect, over all changes and for each kind, the slowest kind first."""
    seconds = [one.seconds for one in felt]
    lines = [_line(f"all {len(felt)} changes", seconds)]
    kinds: dict[str, list[float]] = {}
    for one in felt:
        kinds.setdefault(one.what, []).append(one.seconds)
    lines += [_line(what, kinds[what]) for what in sorted(kinds, key=lambda k: -max(kinds[k]))]
    return "\n".join(lines)


def _line(what: str, seconds: list[float]) -> str:
    figures = (statistics.median(seconds), quantile(seconds, 0.99), max(seconds))
    return f"  {what:28}" + "".join(
        f"  {name} {1000 * value:6.0f} ms" for name, value in zip(("p50", "p99", "max"), figures, strict=True)
    )
