"""How a command ends: with everything said, or with an error that says it was not."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

OSTIARY = [sys.executable, "-m", "ostiary"]


def test_all_that_a_command_says_arrives(tmp_path: Path):
    said = subprocess.run([*OSTIARY, "openapi"], capture_output=True, timeout=60, check=True).stdout

    assert said.startswith(b"{")
    assert said.rstrip().endswith(b"}")
    assert len(said) > 2**17


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["no-such-command"], 2), (["version"], 0)]
)
def test_the_status_is_that_of_the_command(arguments: list[str], status: int):
    assert (
        subprocess.run([*OSTIARY, *arguments], capture_output=True, timeout=60, check=False).returncode
        == status
    )


def test_what_could_not_be_written_is_no_success():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*OSTIARY, "version"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )

    assert done.returncode == 1
    assert done.stderr.decode() == "ostiary: No space left on device: make room, and start again\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_stream_that_is_closed_is_no_failure(closed: str):
    command = f"exec {shlex.join([*OSTIARY, 'version'])} {closed}"

    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_goes_away_is_no_crash():
    command = subprocess.Popen([*OSTIARY, "openapi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()

    said = command.stderr.read()

    assert command.wait(60) == 1
    assert said == b""
