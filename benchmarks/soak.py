"""Does anything grow? A day's kinds of work in minutes; memory and descriptors of every process meanwhile.

Lifetimes are scaled down, so that tokens, decisions, revocations and windows end many times over: with tokens
of 20 seconds, 20 minutes see as many ends as 60 hours see with tokens of an hour. The load is mixed: hits,
misses, refusals, logins, refreshes, hostile input, configuration changes, reloads. Memory is sampled, and
after a warm-up a line is fitted to each process's samples.

    python -m benchmarks.soak [--minutes 20] [--warm-up 5] [--every 5]
"""

import argparse
import base64
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from tests.system.callers import Callers, Calls
from tests.system.many_changes import changes
from tests.system.scenes import USER_PASSWORD, Scene, World

from benchmarks.changes import a_world

TOKEN_SECONDS = 20
SCALED = {
    "OSTIARY_TOKENS__ACCESS_TOKEN_LIFETIME": str(TOKEN_SECONDS),
    "OSTIARY_TOKENS__REFRESH_TOKEN_LIFETIME": "60",
    "OSTIARY_TOKENS__REFRESH_RETRY_WINDOW": "2",
    "OSTIARY_GATEWAY__DECISION_LIFETIME": "10",
    "OSTIARY_GATEWAY__RESOLVE_EVERY": "5",
    "OSTIARY_GATEWAY__MAX_DECISIONS": "2560",
}
GROWS_ABOVE = {"rss": 4 * 2**20, "descriptors": 8}
"""Over the time looked at, in bytes and in descriptors: less is noise of allocators and connections."""
GROWS_ABOVE_PART = {"rss": 0.05, "descriptors": 0.25}
"""The same as a part of what the process has; the larger of both bounds counts."""


@dataclass
class Samples:
    """What one program of the tree used over time."""

    minutes: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)

    def slope(self, what: str, after: float) -> float:
        """Say how much it grew a minute, by least squares over what came after the warm-up."""
        values: list[float] = getattr(self, what)
        pairs = [(m, v) for m, v in zip(self.minutes, values, strict=True) if m >= after]
        if len(pairs) < 3:
            return 0.0
        return statistics.linear_regression(*zip(*pairs, strict=True)).slope

    def grows(self, what: str, after: float) -> bool:
        """Whether what it grew by is more than noise."""
        level = statistics.median(getattr(self, what))
        grown = self.slope(what, after) * (self.minutes[-1] - after)
        return grown > max(GROWS_ABOVE[what], GROWS_ABOVE_PART[what] * level)


def programs(world: World) -> dict[str, int]:
    """Name the processes of the tree. HAProxy's workers are followed by name: a reload replaces them."""
    server = world.server
    assert server.process is not None
    found = {"supervisor": server.process.pid}
    for pid, line in sorted(server.tree().items()):
        for words, name in NAMES:
            if all(word in line for word in words):
                found[name if name not in found else f"{name}, newest"] = pid
                break
    return found


NAMES = (
    (("ostiary.cli.worker",), "worker"),
    (("ostiary.gateway.node",), "agent"),
    (("gateway.cfg",), "gateway HAProxy"),
    (("management.cfg",), "management HAProxy"),
)


def sample(world: World, samples: dict[str, Samples], minute: float) -> None:
    """Read what each process uses now."""
    for name, pid in programs(world).items():
        with suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            one = samples.setdefault(name, Samples())
            one.minutes.append(minute)
            one.rss.append(pages * os.sysconf("SC_PAGE_SIZE"))
            one.descriptors.append(descriptors)


class Work:
    """Threads that do something again and again until the soak is over."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.done: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], object], every: float) -> None:
        """Do `work` every so many seconds."""

        def run() -> None:
            while not self.over.wait(every):
                try:
                    work()
                    self.done[name] = self.done.get(name, 0) + 1
                except (AssertionError, httpx2.HTTPError) as error:
                    self.failed[name] = f"{type(error).__name__}: {error}"[:200]

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        """Wait for all of them."""
        self.over.set()
        for thread in self._threads:
            thread.join(30)


def hits_and_misses(scene: Scene) -> Callable[[], None]:
    """A new token each time: one miss, then hits; an old one is refused once it is over."""
    kept: list[str] = []

    def work() -> None:
        kept.append(str(scene.got()["access_token"]))
        for token in (kept[-1], kept[-1], kept[0]):
            scene.call(token)
        del kept[:-TOKEN_SECONDS]

    return work


def logins_and_refreshes(scene: Scene) -> Callable[[], None]:
    """Log in, refresh twice, revoke; now and then a replay ends the family."""

    def work() -> None:
        first = scene.got(password=USER_PASSWORD)
        second = scene.got(refresh_token=first["refresh_token"])
        scene.call(second["access_token"])
        scene.revoke(scene.got(refresh_token=second["refresh_token"])["refresh_token"])

    return work


def refusals(scene: Scene) -> Callable[[], None]:
    """Wrong passwords of ever new names, made-up tokens, no subscription."""
    turn = iter(range(10**9))

    def work() -> None:
        number = next(turn)
        scene.token(password="wrong", username=f"nobody{number}")
        scene.call(base64.urlsafe_b64encode(os.urandom(24)).decode())
        scene.call(f"x.{number}.y")

    return work


def come_and_go(scene: Scene) -> Callable[[], None]:
    """Applications, APIs and users that are made and removed again."""

    def work() -> None:
        another = Scene(scene.world, scene.organization)
        another.call(another.users())
        another.nobody_subscribes()
        another.ask("DELETE", f"/apim/v1/applications/{another.mine.id}")
        another.ask("DELETE", f"/apim/v1/apis/{another.api}")
        another.ask("DELETE", f"/identity/v1/users/{another.user}")

    return work


def hostile(scene: Scene) -> list[Calls]:
    """Input that is refused, in ways that reach different layers."""
    path = f"/t/{scene.admin.organization}/{scene.name}/1.0.0"
    refused = (400, 401, 404, 405, 413, 414, 429, 431)
    return [
        Calls(f"{path}/../x", "a.b.c", refused, pause=0.2),
        Calls(f"{path}/x%00", "a.b.c", refused, pause=0.2),
        Calls(path + "/" + "x" * 3000, "", refused, pause=0.2),
        Calls("/token", "Basic eDp5", refused, pause=0.5, method="POST", body="grant_type=&grant_type=x"),
        Calls(
            "/token", "", refused, pause=0.5, method="POST", body="{" * 5000, content_type="application/json"
        ),
        Calls("/nowhere", "", refused, pause=0.2),
    ]


def reload(world: World) -> None:
    """Replace the gateway's HAProxy worker, as a renewed certificate does."""
    os.kill(world.server.find("haproxy", "gateway.cfg"), signal.SIGUSR2)


def report(samples: dict[str, Samples], warm_up: float) -> list[str]:
    """Print a line a process; returns those that grow."""
    print(f"\n{'process':32} {'MB':>7} {'MB/min':>8} {'fds':>5} {'fds/min':>8}")
    growing = []
    for name, one in sorted(samples.items()):
        print(
            f"{name:32} {one.rss[-1] / 2**20:7.1f} {one.slope('rss', warm_up) / 2**20:8.2f} "
            f"{one.descriptors[-1]:5.0f} {one.slope('descriptors', warm_up):8.2f}"
        )
        growing += [f"{name} ({what})" for what in GROWS_ABOVE if one.grows(what, warm_up)]
    return growing


def soak(world: World, minutes: float, every: float) -> tuple[dict[str, Samples], Work, Callers]:
    """Let everything happen at once for so long."""
    samples: dict[str, Samples] = {}
    work = Work()
    scenes = [Scene(world, world.organization("steady")) for _ in range(3)]
    scenes[1].users()
    ca = str(world.server.directory / "tls" / "ca.pem")
    with Callers(world.server.gateway_port, *hostile(scenes[0]), ca=ca) as callers:
        work.start("token, miss, hits", hits_and_misses(scenes[0]), 0.05)
        work.start("login, refreshes, revocation", logins_and_refreshes(scenes[1]), 0.5)
        work.start("refusals", refusals(scenes[2]), 0.2)
        work.start("come and go", come_and_go(scenes[0]), 1.0)
        work.start("22 changes", lambda: changes(world, 22), 5.0)
        work.start("reload", lambda: reload(world), 30.0)
        began = time.monotonic()
        while (minute := (time.monotonic() - began) / 60) < minutes:
            sample(world, samples, minute)
            work.over.wait(every)
        work.stop()
    return samples, work, callers


def main() -> int:
    """Soak, and say what grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--warm-up", type=float)
    parser.add_argument("--every", type=float, default=5)
    asked = parser.parse_args()
    warm_up = asked.warm_up if asked.warm_up is not None else asked.minutes / 3
    with ExitStack() as stack:
        world = a_world(stack, 1, None, **SCALED)
        samples, work, callers = soak(world, asked.minutes, asked.every)
        database = (world.server.directory / "ostiary.db").stat().st_size
        outcome = callers.done()
    growing = report(samples, warm_up)
    print(f"\ndone: {work.done}; {outcome.calls} hostile calls; the database has {database / 2**20:.1f} MB")
    for what, why in {**work.failed, **outcome.failed}.items():
        print(f"FAILED: {what[:100]}: {why}")
    print("flat" if not growing else f"GROWS: {', '.join(growing)}")
    return 1 if growing or work.failed or outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
