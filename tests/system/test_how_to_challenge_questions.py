"""The page about challenge questions: its file is applied, and its commands do what it says."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.support.challenges import PET
from tests.system.administrator import Administrator
from tests.system.pages import blocks
from tests.system.server import Server

PAGE = "challenge-questions"


def perform(command: str, **places: str) -> Any:
    """Run a command of the page; what it answered."""
    for said, here in places.items():
        assert said in command
        command = command.replace(said, here)
    options = ["--silent", "--show-error", "--fail-with-body"]
    done = subprocess.run(
        [*shlex.split(command.replace("\\\n", " ")), *options], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else None


def test_the_page_turns_them_on_adds_a_set_and_answers_for_a_user(server: Server, tmp_path: Path):
    (file,) = blocks(PAGE, "yaml")
    (tmp_path / "organization.yaml").write_text(file)
    applied = server.ostiary(
        "apply", "-f", str(tmp_path / "organization.yaml"), BOB_PASSWORD="a-password-of-a-test"
    )
    assert applied.returncode == 0, applied.stderr + applied.stdout
    add, list_questions, answer = blocks(PAGE, "sh")
    administrator = Administrator(server.directory, "my_company")
    subject = administrator.ask("GET", "/identity/v1/users/bob")["subject"]
    directory = str(server.directory)

    added = perform(add, DIR=directory)
    offered = perform(list_questions, DIR=directory, SUBJECT=subject)
    perform(answer, DIR=directory, SUBJECT=subject)

    assert [one["questionSetId"] for one in added] == ["taste"]
    assert {one["questionSetId"]: len(one["questions"]) for one in offered} == {
        "challengeQuestion1": 4,
        "challengeQuestion2": 4,
        "taste": 1,
    }
    assert administrator.ask("GET", f"/users/v1/{subject}/challenge-answers") == [
        {"questionSetId": "challengeQuestion2", "question": PET["question"]}
    ]
    assert "rex the dog" not in server.said().lower()
