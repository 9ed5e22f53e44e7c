"""Settings: what wins, what is refused, and that a child process gets exactly the same."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ostiary.app import Settings, environment_of, load_settings
from ostiary.foundation.settings import InvalidSettings, Section


@pytest.fixture(autouse=True)
def no_variables() -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in tuple(os.environ) if name.startswith("OSTIARY_")}
    yield
    for name in tuple(os.environ):
        if name.startswith("OSTIARY_"):
            del os.environ[name]
    os.environ.update(kept)


def a_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ostiary.toml"
    path.write_text(text)
    return path


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = a_file(tmp_path, "management_port = 1111\ngateway_port = 1112\nworkers = 3\n")
    os.environ["OSTIARY_GATEWAY_PORT"] = "2222"
    os.environ["OSTIARY_MANAGEMENT_PORT"] = "2223"

    loaded = load_settings(config, {"management_port": 3333, "workers": None})

    assert (loaded.management_port, loaded.gateway_port, loaded.workers) == (3333, 2222, 3)


def test_a_section_is_put_together_from_file_and_environment(tmp_path: Path) -> None:
    config = a_file(tmp_path, "[tokens]\naccess_token_lifetime = 60\njwks_max_age = 5\n")
    os.environ["OSTIARY_TOKENS__JWKS_MAX_AGE"] = "7"

    tokens = load_settings(config).tokens

    assert (tokens.access_token_lifetime.total_seconds(), tokens.jwks_max_age.total_seconds()) == (60, 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gatway_port = 1", "gatway_port: unknown setting"),
        ("[tokens]\nlifetime = 1", "tokens.lifetime: unknown setting"),
        ("workers = 0", "workers: "),
        ('public_url = "http://insecure.example"', "public_url: "),
        ('public_url = "https://trailing.example/"', "public_url: "),
        ("database_url = {env = 'OSTIARY_NO_SUCH'}", "OSTIARY_NO_SUCH is not set"),
        ("= broken", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    config = a_file(tmp_path, text)

    with pytest.raises(InvalidSettings) as refused:
        load_settings(config)

    assert said in str(refused.value)
    assert str(refused.value).startswith(str(config))


def test_an_unknown_variable_is_refused_with_the_one_that_was_meant() -> None:
    os.environ["OSTIARY_GATEWAYPORT"] = "1"

    with pytest.raises(
        InvalidSettings, match="OSTIARY_GATEWAYPORT: unknown setting; did you mean OSTIARY_GATEWAY_PORT"
    ):
        load_settings()


def test_a_child_process_gets_exactly_these_settings(tmp_path: Path) -> None:
    os.environ["PASSWORD_OF_DATABASE"] = "postgresql+psycopg://u:p@db/x"
    config = a_file(
        tmp_path,
        "database_url = {env = 'PASSWORD_OF_DATABASE'}\nworkers = 5\n"
        "[outbound]\nallowed_networks = ['10.0.0.0/8']\n[identity.lockout]\nuser_failures = 7\n",
    )
    loaded = load_settings(config, {"management_port": 4444})

    os.environ.update(environment_of(loaded))
    child = load_settings()

    assert child.model_dump() == loaded.model_dump()
    assert child.database == "postgresql+psycopg://u:p@db/x"


def test_no_section_holds_a_secret_that_a_child_would_be_given_masked() -> None:
    """`environment_of` passes `database_url` by hand; one inside a section would arrive as asterisks."""

    def secrets_of(section: type[Section]) -> Iterator[str]:
        for name, field in section.model_fields.items():
            if field.annotation is SecretStr:
                yield name
            elif isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                yield from secrets_of(field.annotation)

    sections = [f.annotation for f in Settings.model_fields.values()]
    found = [n for s in sections if isinstance(s, type) and issubclass(s, Section) for n in secrets_of(s)]
    assert found == []
