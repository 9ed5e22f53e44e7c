"""The main job as a person types it: an outside user's password becomes a call with a signed identity."""

import os
import subprocess
import sys
import time


def test_the_demo_performs_the_story_and_holds_every_step():
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ostiary", "demo", "--once"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        check=False,
    )
    took = time.monotonic() - started

    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout
    for promise in (
        "EXTERNAL/testuser@my_company",
        "400 invalid_grant",
        "403 900908",
        "403 900910",
        "429 900804",
        "401 900901",
    ):
        assert promise in done.stdout
    assert took < 20, f"the demo took {took:.1f} s"
