"""The main job as a person types it: an outside user's password becomes a call with a signed identity."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.server import clean_environment
from tests.system.waiting import until

PROMISES = (
    "EXTERNAL/testuser@my_company",
    "400 invalid_grant",
    "403 900908",
    "403 900910",
    "429 900804",
    "401 900901",
)


@pytest.mark.alone
def test_the_demo_performs_the_story_and_holds_every_step():
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ostiary", "demo", "--once"],
        capture_output=True,
        text=True,
        timeout=90,
        env=clean_environment(),
        check=False,
    )
    took = time.monotonic() - started

    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout
    assert [promise for promise in PROMISES if promise not in done.stdout] == []
    assert took < 20 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), f"the demo took {took:.1f} s"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A demo that keeps serving; what it has printed."""
    said = tmp_path_factory.mktemp("demo") / "output"
    # What runs in the background may have been told to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ostiary", "demo"],
            stdout=output,
            stderr=output,
            env={**clean_environment(), "PYTHONUNBUFFERED": "1"},
        )
    signal.signal(signal.SIGINT, before)
    try:
        until(lambda: "still serving" in said.read_text() or process.poll() is not None, 90, "the demo")
        yield said.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    scratch = re.search(r"everything is in +(\S+)", said.read_text())
    assert scratch is not None
    assert not Path(scratch[1]).exists()
    assert process.returncode == 0


def _step(printed: str, title: str) -> str:
    """What a person copies from below a step's title."""
    block = printed.split(title, 1)[1].partition("\n")[2]
    lines = [line for line in block.split("   ✓")[0].splitlines() if line.strip()]
    return textwrap.dedent("\n".join(lines))


def _pasted(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_the_printed_token_request_works_when_it_is_pasted(demo: str):
    answer = json.loads(_pasted(_step(demo, "The application gets a token")))

    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 3600


def test_the_printed_call_works_when_it_is_pasted(demo: str):
    answer = json.loads(_pasted(_step(demo, "It calls the API")))

    assert answer["enduser"] == "EXTERNAL/testuser@my_company"


def test_the_printed_loop_uses_up_the_plan_when_it_is_pasted(demo: str):
    answers = _pasted(_step(demo, "The plan Tiny allows"))

    assert '"900804"' in answers


def test_the_printed_apply_changes_nothing_the_second_time(demo: str):
    first = _pasted(_step(demo, "my_company connects"))

    assert not re.search(r"^\s*[+~-] ", first, re.M), first
