"""How soon is `ostiary serve` ready, and how much memory does its process tree hold?

The first start makes keys, database and administrator; the second finds them. Beside them, how long this
machine takes right now to start Python and import the application, which each worker has to.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.system.server import Server
from tests.system.waiting import until

from benchmarks.measuring import cpu_seconds, keep, median, resident_bytes, table, with_children


def imported() -> float:
    """Seconds to start Python and import the application."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import ostiary.app"], check=True)
    return time.monotonic() - started


def _started(server: Server) -> float:
    started = time.monotonic()
    process = server.launch()
    until(lambda: server.ready() or process.poll() is not None, 60, "ready")
    return time.monotonic() - started


def once() -> dict[str, float]:
    """One installation started twice."""
    folder = Path(tempfile.mkdtemp(prefix="ostiary-bench-"))
    server = Server(folder / "data")
    found = {"import_seconds": imported()}
    try:
        found["first_seconds"] = _started(server)
        server.terminate()
        found["second_seconds"] = _started(server)
        assert server.process is not None
        pids = with_children(server.process.pid)
        found["cpu_seconds"] = cpu_seconds(pids)
        found["megabytes"] = resident_bytes(pids) / 1e6
        for pid, line in server.tree().items():
            for name, word in PARTS.items():
                if word in line:
                    key = f"megabytes_{name}"
                    found[key] = found.get(key, 0) + resident_bytes({pid}) / 1e6
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return found


PARTS = {"worker": "ostiary.cli.worker", "agent": "ostiary.gateway.node", "haproxy": ".cfg"}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    found = [once() for _ in range(options.rounds)]
    figures = {name: round(median(one[name] for one in found), 2) for name in found[0]}
    ratio = figures["second_seconds"] / figures["import_seconds"]
    print(
        table(("start", "median"), [*figures.items(), ("second start × import", f"{ratio:.1f}")]), flush=True
    )
    keep("start", figures)


if __name__ == "__main__":
    main(sys.argv[1:])
