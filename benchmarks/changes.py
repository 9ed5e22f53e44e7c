"""How soon is a change felt at the gateway, and what does it cost those who call meanwhile?

A thousand configuration changes of every kind, one after the other, under steady calls of several
applications; then a burst: tokens revoked as fast as revocations are taken. Not a single call may fail.

    python -m benchmarks.changes [--changes N] [--callers N] [--burst N] [--database URL]
"""

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.system.callers import Callers, Outcome
from tests.system.many_changes import Felt, changes, quantile, steady_calls, summary
from tests.system.scenes import OK, WITHIN, Scene, World, application, become
from tests.system.server import Server
from tests.system.world import LoginServices


def a_world(stack: ExitStack, workers: int, database: str | None, **environment: str) -> World:
    """Start a server in a scratch directory, and whom it talks to."""
    directory = Path(tempfile.mkdtemp(prefix="ostiary-bench-"))
    stack.callback(shutil.rmtree, directory, ignore_errors=True)
    services = LoginServices()
    stack.callback(services.close)
    server = Server(directory / "data", workers=workers)
    server.environment |= environment
    if database:
        server.environment["OSTIARY_DATABASE_URL"] = database
    stack.callback(server.stop)
    world = World(server.start(), services.start().url)
    stack.callback(world.close)
    return world


def burst(world: World, tokens: int) -> str:
    """Revoke many tokens as fast as it goes, and wait until the last one is refused."""
    scene = Scene(world, world.organization("changing"))
    become(scene, application, OK)
    several = [scene.got()["access_token"] for _ in range(tokens)]
    before = sum(scene.call(token) == OK for token in several)
    began = time.monotonic()
    for token in several:
        scene.revoke(token)
    committed = time.monotonic()
    while scene.call(several[-1]) == OK:
        time.sleep(0.002)
    felt = time.monotonic()
    passed = sum(scene.call(token) == OK for token in several)  # beyond 300 refusals it is 429, unasked
    rate, after = before / (committed - began), 1000 * (felt - committed)
    return (
        f"  {before} revocations at {rate:.0f}/s: the last felt after {after:.0f} ms, {passed} not felt then"
    )


def calls_line(outcome: Outcome) -> str:
    """Say what became of the calls."""
    return (
        f"  {outcome.calls} calls meanwhile, {outcome.calls / outcome.seconds:.0f}/s: "
        f"{sum(outcome.failed.values())} failed {outcome.failed or ''}, "
        f"p50 {outcome.p50_ms:.1f} ms, p99 {outcome.p99_ms:.1f} ms, longest {outcome.longest_ms:.0f} ms"
    )


def verdict(felt: list[Felt], outcome: Outcome) -> int:
    """Say whether the promise held: every change within a second, no call failed."""
    late = [one for one in felt if one.seconds > WITHIN]
    slow = quantile([one.took for one in felt], 0.99)
    print(f"  a change itself took {1000 * slow:.0f} ms at the 99th percentile")
    print("  the promise held" if not late and not outcome.failed else f"  BROKEN: {late} {outcome.failed}")
    return 1 if late or outcome.failed else 0


def main() -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--burst", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--database")
    asked = parser.parse_args()
    with ExitStack() as stack:
        world = a_world(stack, asked.workers, asked.database)
        ca = str(world.server.directory / "tls" / "ca.pem")
        steady = steady_calls(world, asked.callers)
        print(f"commit → effect, {asked.changes} changes, {asked.callers} applications calling")
        with Callers(world.server.gateway_port, *steady, ca=ca) as callers:
            felt = changes(world, asked.changes)
            told = burst(world, asked.burst) if asked.burst else ""
        print(summary(felt), told, calls_line(callers.done()), sep="\n")
        return verdict(felt, callers.done())


if __name__ == "__main__":
    sys.exit(main())
