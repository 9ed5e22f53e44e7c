"""`ostiary apply`: what a person sees, and the status a script sees."""

from pathlib import Path

import pytest
from tests.http.declarative.files import ENVIRONMENT, EXAMPLE
from typer.testing import CliRunner, Result

from ostiary.cli import app
from ostiary.cli.errors import OperatorError

PLAN = """\
my_company
  + organization  my_company
  + user store    EXTERNAL  rest · http://127.0.0.1:9700/authenticate
  + plan          Tiny  5 requests per minute
  + role          support  /permission/admin/manage/identity/identitymgt/view · bob
  + role          clerk  EXTERNAL/testuser · CORP/sales
  + user          bob
  + scope         orders:write  clerk
  + api           Orders 1.0.0  /orders · PUBLISHED
  + application   Mobile  bob
  + client        mobile  Mobile · PRODUCTION
  + subscription  Mobile > Orders 1.0.0  Gold

"""
CHANGED = """\
my_company
  - subscription  Mobile > Orders 1.0.0
  ~ organization  my_company
      chain  first_known → any
  ~ user store    EXTERNAL
      url                  http://127.0.0.1:9700/authenticate → http://127.0.0.1:9999/x
      auth.basic.password  set
  ~ role          support
      permissions  −/permission/admin/manage/identity/identitymgt/view
      users        −bob
  ~ user          bob
      claims  email: bob@example.com → b@x
  ~ api           Orders 1.0.0
      plans  +Unlimited  −Tiny

5 changed, 1 removed
"""


def ostiary(*arguments: object, text: str | None = None) -> Result:
    """Run the command."""
    environment = {**ENVIRONMENT, "COLUMNS": "60", "NO_COLOR": "1"}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text, env=environment)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example as a file."""
    path = tmp_path / "organization.yaml"
    path.write_text(EXAMPLE)
    return path


def test_the_example_is_applied_and_then_there_is_nothing_to_change(data_dir: Path, example: Path):
    planned = ostiary("apply", "--data-dir", data_dir, "-f", example, "--dry-run")
    assert (planned.exit_code, planned.stdout) == (0, PLAN + "11 to add (dry run: nothing was changed)\n")

    applied = ostiary("apply", "--data-dir", data_dir, "-f", example)
    assert (applied.exit_code, applied.stdout, applied.stderr) == (0, PLAN + "11 added\n", "")

    again = ostiary("apply", "--data-dir", data_dir, "-f", example)
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "nothing to change")


def test_changes_are_shown_with_what_they_were(data_dir: Path, example: Path):
    ostiary("apply", "--data-dir", data_dir, "-f", example)
    for old, new in (
        ("display_name: My Company", "display_name: My Company, chain: any"),
        ("9700/authenticate", "9999/x"),
        ("[/permission/admin/manage/identity/identitymgt/view]", "[]"),
        ("roles: [support], claims: {email: bob@example.com}", "roles: [], claims: {email: b@x}"),
        ("plans: [Gold, Tiny]", "plans: [Gold, Unlimited]"),
        ("[{api: Orders, version: 1.0.0, plan: Gold}]", "[]"),
    ):
        example.write_text(example.read_text().replace(old, new))

    assert ostiary("apply", "--data-dir", data_dir, "-f", example).stdout == CHANGED


def test_mistakes_in_a_file_are_found_before_anything_is_sent(tmp_path: Path):
    path = tmp_path / "bad.yaml"
    path.write_text("apiVersion: ostiary/v1\norganisation: {name: x}\n")

    result = ostiary("apply", "--data-dir", tmp_path, "-f", path)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{path}:1:1: found nothing, expected the key 'organization'",
        f"{path}:2:1: organisation: found the unknown key 'organisation', "
        "expected a known key (did you mean 'organization'?)",
    ]


def test_what_only_the_server_knows_has_its_line_too(data_dir: Path, example: Path):
    example.write_text(example.read_text().replace("roles: [clerk]", "roles: [clark]"))

    result = ostiary("apply", "--data-dir", data_dir, "-f", example)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{example}:15:64: scopes[0].roles[0]: found 'clark', "
        "expected a role there is: admin, clerk, everyone, publisher, subscriber, support "
        "(did you mean 'clerk'?)"
    ]


def test_a_missing_variable_is_named_with_its_line(example: Path):
    example.write_text(example.read_text().replace("BOB_PASSWORD", "NOBODYS_PASSWORD"))
    result = ostiary("apply", "-f", example)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{example}:10:31: users[0].password: found the environment variable NOBODYS_PASSWORD, "
        "which is not set, expected it to have a value"
    ]


def test_secrets_in_the_file_are_warned_about_and_never_shown(data_dir: Path, example: Path):
    example.write_text(example.read_text().replace("{env: BOB_PASSWORD}", "hunter2hunter2"))

    result = ostiary("apply", "--data-dir", data_dir, "-f", example)

    assert result.exit_code == 0
    assert result.stderr == (
        f"warning: {example}:10:31: users[0].password is written in the file itself\n"
        "{env: NAME} or {file: PATH} keeps secrets out of files\n"
    )
    assert "hunter2" not in result.stdout


def test_several_files_and_standard_input_are_applied_together(data_dir: Path, example: Path):
    other = "apiVersion: ostiary/v1\norganization: {name: other}\n---\n"
    other += "apiVersion: ostiary/v1\norganization: {name: third}\n"

    result = ostiary("apply", "--data-dir", data_dir, "-f", example, "-f", "-", text=other)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "13 added"


def test_an_empty_file_is_a_mistake(tmp_path: Path):
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing yet\n")
    result = ostiary("apply", "-f", path)
    assert (result.exit_code, result.stderr) == (1, f"{path}: found nothing, expected an organization\n")


@pytest.mark.parametrize(
    "arguments", [[], ["-f", "/nonexistent.yaml"], ["--prune-users", "-f", "-"], ["-f", "/tmp"]]
)
def test_what_is_not_a_command_has_status_2(arguments: list[str]):
    assert ostiary("apply", *arguments, text="").exit_code == 2


def test_without_a_server_one_line_says_what_to_do(tmp_path: Path, example: Path):
    result = ostiary("apply", "--data-dir", tmp_path, "-f", example)
    assert isinstance(result.exception, OperatorError)
    assert "no server" in str(result.exception)


def test_a_file_that_is_not_text_is_said_to_be_so(tmp_path: Path):
    path = tmp_path / "latin1.yaml"
    path.write_bytes(b"organization: {display_name: caf\xe9}")
    result = ostiary("apply", "-f", path)
    assert str(result.exception) == f"{path}: not UTF-8 text (byte 33)"


EXPORTED = """\
# Written by `ostiary export my_company`.
# Set before applying:
#   EXTERNAL_AUTH_BASIC_PASSWORD
#   MOBILE_SECRET
apiVersion: ostiary/v1
organization: {name: my_company, display_name: My Company}
"""


def test_an_export_applied_again_changes_nothing(data_dir: Path, example: Path, tmp_path: Path):
    ostiary("apply", "--data-dir", data_dir, "-f", example)
    there = tmp_path / "export.yaml"

    written = ostiary("export", "my_company", "--data-dir", data_dir, "-o", there)

    assert (written.exit_code, written.stdout) == (0, "")
    assert written.stderr.splitlines() == [
        "set before applying: EXTERNAL_AUTH_BASIC_PASSWORD",
        "set before applying: MOBILE_SECRET",
    ]
    assert there.read_text().startswith(EXPORTED)
    assert there.stat().st_mode & 0o777 == 0o600
    unset = ostiary("apply", "--data-dir", data_dir, "-f", there, "--dry-run")
    assert unset.exit_code == 1
    assert "the environment variable EXTERNAL_AUTH_BASIC_PASSWORD, which is not set" in unset.stderr


def test_an_export_that_keeps_secrets_needs_nothing_to_be_applied_here(data_dir: Path, example: Path):
    ostiary("apply", "--data-dir", data_dir, "-f", example)

    written = ostiary("export", "my_company", "--data-dir", data_dir, "--keep-secrets")
    again = ostiary("apply", "--data-dir", data_dir, "-f", "-", text=written.stdout)

    assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "nothing to change")


def test_an_organization_there_is_not_cannot_be_exported(data_dir: Path):
    refused = ostiary("export", "nowhere", "--data-dir", data_dir)

    assert refused.exit_code == 1
    assert isinstance(refused.exception, OperatorError)
    assert str(refused.exception) == "the server refused: there is no such organization (404)"
