"""A disk that takes nothing more: one line that says so, and nothing used up on the way."""

import resource
import socket
import subprocess
import sys
from pathlib import Path

TOKEN = "ostn_" + "a" * 40 + "." + "0" * 64
ENROL = (
    "import sys; from pathlib import Path; from ostiary.gateway import enrol\n"
    f"enrol(Path(sys.argv[1]), '{TOKEN}', [sys.argv[2]])"
)


def nothing_can_be_written() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-B", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, preexec_fn=nothing_can_be_written
    )


def test_a_start_on_a_full_disk_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    done = run("-m", "ostiary", "serve", "--data-dir", str(tmp_path / "data"))

    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    assert lines[0].startswith("ostiary: ")
    assert lines[0].endswith("File too large: make room, or raise the limit, and start again")


def test_a_machine_that_cannot_keep_its_certificate_does_not_use_its_token_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as control_plane:
        control_plane.settimeout(0.1)
        done = run("-c", ENROL, str(tmp_path), f"https://127.0.0.1:{control_plane.getsockname()[1]}")
        try:
            control_plane.accept()
            asked = True
        except TimeoutError:
            asked = False

    assert "File too large" in done.stderr
    assert asked is False
    assert list(tmp_path.iterdir()) == []
