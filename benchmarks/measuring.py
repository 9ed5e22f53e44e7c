"""Processor time of process trees, rounds in rotating order, medians; and where results are kept."""

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = Path(os.environ.get("OSTIARY_BENCH_RESULTS", HERE / "results"))
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def with_children(root: int) -> set[int]:
    """`root` and every process below it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting.extend(parents.get(pid, ()))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time these processes have used so far, all their threads included.

    Time of children that have ended and were waited for counts too, so a reload hides nothing.
    """
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return total / TICKS


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory these processes hold: proportional set size, so what they share counts once."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


def rounds(contestants: Mapping[str, Callable[[], Any]], times: int) -> dict[str, list[Any]]:
    """Run every contestant `times` times; each round begins with another one."""
    names = list(contestants)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for turn in range(times):
        first = turn % len(names)
        for name in (*names[first:], *names[:first]):
            found[name].append(contestants[name]())
    return found


def median(values: Iterable[float]) -> float:
    """The middle of these values."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """The smallest and the largest, for a reader who wants to know how steady it was."""
    return f"{min(values):.1f} - {max(values):.1f}"


def machine() -> dict[str, Any]:
    """What it was measured on, and what else ran there."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * PAGE
    return {
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "commit": _commit(),
    }


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(HERE), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def keep(question: str, figures: Mapping[str, Any]) -> None:
    """Write the answer to one question beside those of the others."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **figures}, indent=1, ensure_ascii=False)
    (RESULTS / f"{question}.json").write_text(text + "\n")


def kept(question: str) -> dict[str, Any] | None:
    """What was written last; `None` where the question was never asked."""
    file = RESULTS / f"{question}.json"
    return json.loads(file.read_text()) if file.exists() else None


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table for people, in Markdown."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(head), *lines]) for column in range(len(head))]
    written = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [list(head), *lines]
    ]
    return "\n".join([written[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *written[1:]])
