"""Does anything grow? A day's kinds of work in minutes; memory and descriptors of every process meanwhile.

Lifetimes are scaled down, so that tokens, decisions, revocations and windows end many times over: with tokens
of 20 seconds, 20 minutes see as many ends as 60 hours see with tokens of an hour. The load is mixed: hits,
misses, refusals, logins, refreshes, hostile input, configuration changes, reloads. Memory is sampled, and
after a warm-up a line is fitted to the samples of each process: what it rises by is judged, beside it stands
how the medians of the first and last third differ. Memory is what a process has for itself and its part of
what it shares. Reloads end before the soak does, so that the last worker of HAProxy lives long enough to be
judged.

    python -m benchmarks.soak [--minutes 20] [--warm-up 5] [--every 5]
"""

import argparse
import base64
import os
import shutil
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.callers import Callers, Calls
from tests.system.many_changes import change_everything, scenes_of
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
GROWS_ABOVE = {"memory": 4 * 2**20, "descriptors": 8}
"""Over the time looked at, in bytes and in descriptors: less is noise of allocators and connections."""
GROWS_ABOVE_PART = {"memory": 0.05, "descriptors": 0.25}
"""The same as a part of what the process has; the larger of both bounds counts."""
SETTLES = 2.0
"""Minutes a process that began later is given before its samples are judged: a worker fills its tables."""
RELOADS_UNTIL = 0.6
"""The part of the soak with reloads. Afterwards one worker of HAProxy lives on, so that its growth shows."""


@dataclass
class Samples:
    """What one process, or all of them together, used over time."""

    pid: int = 0
    minutes: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)

    def judged(self, what: str, after: float) -> list[tuple[float, float]]:
        """Minute and value of the samples after the warm-up, the soak's and the process's own."""
        values: list[float] = getattr(self, what)
        after = max(after, self.minutes[0] + SETTLES if self.minutes[0] > SETTLES else 0)
        return [(m, v) for m, v in zip(self.minutes, values, strict=True) if m >= after]

    def slope(self, what: str, after: float) -> float:
        """Say how much it grew a minute, by least squares over what came after the warm-up."""
        pairs = self.judged(what, after)
        return statistics.linear_regression(*zip(*pairs, strict=True)).slope if len(pairs) > 2 else 0.0

    def grown(self, what: str, after: float) -> float:
        """Say how much more the last third of what is judged used than the first, by their medians."""
        values = [value for _, value in self.judged(what, after)]
        third = len(values) // 3
        return statistics.median(values[-third:]) - statistics.median(values[:third]) if third else 0.0

    def grows(self, what: str, after: float) -> bool:
        """Whether what it grew by is more than noise."""
        pairs = self.judged(what, after)
        if len(pairs) < 3:
            return False
        line = self.slope(what, after) * (pairs[-1][0] - pairs[0][0])
        level = statistics.median(value for _, value in pairs)
        return line > max(GROWS_ABOVE[what], GROWS_ABOVE_PART[what] * level)


def programs(world: World) -> dict[int, str]:
    """Name the processes of the tree: of HAProxy the master, its newest worker, and those before."""
    server = world.server
    assert server.process is not None
    found = {server.process.pid: "supervisor"}
    for words, name in NAMES:
        pids = sorted(pid for pid, line in server.tree().items() if all(word in line for word in words))
        kinds = [" master", *(" old worker" for _ in pids[1:-1]), " worker"] if len(pids) > 1 else [""]
        found |= {pid: f"{name}{kind}" for pid, kind in zip(pids, kinds, strict=True)}
    return found


NAMES = (
    (("ostiary.cli.worker",), "control plane"),
    (("ostiary.gateway.node",), "agent"),
    (("gateway.cfg",), "gateway HAProxy"),
    (("management.cfg",), "management HAProxy"),
)
TREE = "whole tree"
DATABASE = "database file"
NOT_JUDGED = (DATABASE, "gateway HAProxy old worker")
"""A database is to grow until rows end; old workers come and go."""


def memory_of(pid: int) -> int:
    """Bytes of memory that are its own, and its part of what it shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:")))


def sample(world: World, samples: dict[str, Samples], minute: float) -> None:
    """Read what each process uses now; one that took another's place begins anew."""
    every, handles = 0, 0
    for pid, name in programs(world).items():
        with suppress(OSError):
            memory, descriptors = memory_of(pid), len(os.listdir(f"/proc/{pid}/fd"))
            every, handles = every + memory, handles + descriptors
            if name not in samples or samples[name].pid != pid:
                samples[name] = Samples(pid)
            _note(samples[name], minute, memory, descriptors)
    _note(samples.setdefault(TREE, Samples()), minute, every, handles)
    files = world.server.directory.glob("*.db*")
    _note(samples.setdefault(DATABASE, Samples()), minute, sum(one.stat().st_size for one in files), 0)


def _note(one: Samples, minute: float, memory: int, descriptors: int) -> None:
    one.minutes.append(minute)
    one.memory.append(memory)
    one.descriptors.append(descriptors)


class Work:
    """Threads that do something again and again until the soak is over."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.done: dict[str, int] = {}
        self.failed: list[str] = []
        self.names: list[str] = []
        self.began = time.monotonic()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], object], every: float) -> None:
        """Do `work` every so many seconds."""
        self.names.append(name)

        def run() -> None:
            while not self.over.wait(every):
                try:
                    work()
                    self.done[name] = self.done.get(name, 0) + 1
                except Exception as error:
                    self.fail(f"{name}: {type(error).__name__}: {error}")

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def fail(self, what: str) -> None:
        """Note what went wrong, with the minute, so that it is found in the server's log."""
        self.failed.append(
            f"{time.strftime('%H:%M:%S')}, minute {(time.monotonic() - self.began) / 60:.2f}: {what}"[:300]
        )

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


def every_change(world: World) -> Callable[[], None]:
    """Make every change there and back; after one that failed with new scenes."""
    scenes = scenes_of(world)

    def work() -> None:
        try:
            change_everything(scenes)
        except Exception:
            scenes[:] = scenes_of(world)
            raise

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


def reload(world: World, until: float) -> None:
    """Replace the gateway's HAProxy worker, as a renewed certificate does; from `until` on no more."""
    if time.monotonic() < until:
        os.kill(world.server.find("haproxy", "gateway.cfg"), signal.SIGUSR2)


def report(samples: dict[str, Samples], warm_up: float) -> list[str]:
    """Print a line a process; returns those that grow."""
    columns = ("MB", "MB/min", "grown", "fds", "fds/min", "grown")
    print(f"\n{'process':28} {'minutes':>7} {' '.join(f'{one:>7}' for one in columns)}")
    growing = []
    for name, one in sorted(samples.items()):
        judged = one.judged("memory", warm_up)
        minutes = judged[-1][0] - judged[0][0] if judged else 0
        figures = [
            (getattr(one, what)[-1] / unit, one.slope(what, warm_up) / unit, one.grown(what, warm_up) / unit)
            for what, unit in (("memory", 2**20), ("descriptors", 1))
        ]
        (mb, mb_a_minute, mb_grown), (fds, fds_a_minute, fds_grown) = figures
        print(
            f"{name:28} {minutes:7.1f} {mb:7.1f} {mb_a_minute:7.2f} {mb_grown:7.1f} "
            f"{fds:7.0f} {fds_a_minute:7.2f} {fds_grown:7.0f}"
        )
        if name not in NOT_JUDGED:
            growing += [f"{name} ({what})" for what in GROWS_ABOVE if one.grows(what, warm_up)]
    return growing


def soak(world: World, minutes: float, every: float) -> tuple[dict[str, Samples], Work, Callers]:
    """Let everything happen at once for so long."""
    samples: dict[str, Samples] = {}
    work, last = Work(), time.monotonic() + RELOADS_UNTIL * 60 * minutes
    scenes = [Scene(world, world.organization("steady")) for _ in range(3)]
    scenes[1].users()
    ca = str(world.server.directory / "tls" / "ca.pem")
    with Callers(world.server.gateway_port, *hostile(scenes[0]), ca=ca) as callers:
        work.start("token, miss, hits", hits_and_misses(scenes[0]), 0.05)
        work.start("login, refreshes, revocation", logins_and_refreshes(scenes[1]), 0.5)
        work.start("refusals", refusals(scenes[2]), 0.2)
        work.start("come and go", come_and_go(scenes[0]), 1.0)
        work.start("every change and back", every_change(world), 5.0)
        work.start("reload", lambda: reload(world, last), 30.0)
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
    parser.add_argument("--log", type=Path, help="where to keep what the server says")
    asked = parser.parse_args()
    warm_up = asked.warm_up if asked.warm_up is not None else asked.minutes / 3
    with ExitStack() as stack:
        world = a_world(stack, 1, None, **SCALED)
        samples, work, callers = soak(world, asked.minutes, asked.every)
        if asked.log is not None:
            shutil.copyfile(world.server.log, asked.log)
        database = (world.server.directory / "ostiary.db").stat().st_size
        outcome = callers.done()
    growing = report(samples, warm_up)
    work.failed += [f"{name}: never done" for name in work.names if not work.done.get(name)]
    print(f"\ndone: {work.done}; {outcome.calls} hostile calls; the database has {database / 2**20:.1f} MB")
    for what in [*work.failed, *outcome.moments]:
        print(f"FAILED: {what}")
    print("flat" if not growing else f"GROWS: {', '.join(growing)}")
    return 1 if growing or work.failed or outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
