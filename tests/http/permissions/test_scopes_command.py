"""`ostiary scopes`: the answer comes from the routes, so it is what the guard decides by."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ostiary.app import operations
from ostiary.cli import app
from ostiary.cli.errors import OperatorError
from ostiary.permissions import Audience

USERS = "/api/identity/v1/users"


def said(*arguments: str) -> list[str]:
    result = CliRunner().invoke(app, ["scopes", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.mark.parametrize("path", [f"/t/my_company{USERS}/bob", f"/t/{{organization}}{USERS}/{{username}}"])
def test_a_call_is_answered_for_by_its_scope_and_permission(path: str):
    assert said("for", "get", path) == [
        f"operation   GET /t/{{organization}}{USERS}/{{username}}",
        "permission  /permission/admin/manage/identity/usermgt/view",
        "scope       internal_user_mgt_view",
        "",
        "ask for it with:  scope=internal_user_mgt_view",
    ]


def test_a_call_that_anybody_may_make_takes_nothing():
    assert said("for", "POST", "/oauth2/token") == ["operation   POST /oauth2/token", "who         anybody"]


def test_what_the_operator_has_tightened_is_part_of_the_answer(tmp_path: Path):
    config = tmp_path / "ostiary.toml"
    config.write_text(
        f'[[access.overrides]]\noperation = "GET {USERS}"\npermissions = ["/permission/admin"]\n'
    )

    lines = said("for", "GET", USERS, "--config", str(config))

    assert lines[1:3] == [
        "permission  /permission/admin",
        "permission  /permission/admin/manage/identity/usermgt/list",
    ]


@pytest.mark.parametrize(
    ("method", "path", "advice"),
    [
        ("PATCH", USERS, "there are GET, POST"),
        ("GET", "/api/nothing", "`ostiary scopes list` shows what there is"),
    ],
)
def test_a_call_that_is_not_there_is_a_mistake_with_advice(method: str, path: str, advice: str):
    with pytest.raises(OperatorError, match=f"no operation {method} {path}: {advice}"):
        CliRunner().invoke(app, ["scopes", "for", method, path], catch_exceptions=False)


def test_the_list_has_every_guarded_operation_once():
    lines = said("list")

    guarded = [
        route
        for route in operations()
        if route.access.audience in (Audience.PERMITTED, Audience.USER) and "{organization}" not in route.path
    ]
    assert len(lines) == len(set(lines)) == len(guarded)
    assert f"GET\t{USERS}\tinternal_user_mgt_list\t/permission/admin/manage/identity/usermgt/list" in lines
