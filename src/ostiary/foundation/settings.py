"""How settings are declared and loaded: a TOML file under `OSTIARY_…` environment variables.

Each slice declares its own section; the composition root puts them together. Unknown keys are
errors. Wherever a secret is expected, `{env = "NAME"}` or `{file = "PATH"}` may stand instead.
"""

import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

Model = TypeVar("Model", bound=BaseModel)


class InvalidSettings(Exception):
    """A setting is unknown or has a bad value; the text names it, its source and what was expected."""


class Section(BaseModel):
    """A frozen part of the settings that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _seconds(cls, value: Any, info: ValidationInfo) -> Any:
        """A variable of the environment has no numbers: `600` there means what 600 means in the file."""
        is_duration = cls.model_fields[str(info.field_name)].annotation is timedelta
        return int(value) if is_duration and isinstance(value, str) and value.isdecimal() else value


def _resolve(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"env"}:
        if value["env"] not in os.environ:
            raise ValueError(f"the environment variable {value['env']} is not set")
        return os.environ[value["env"]]
    if set(value) == {"file"}:
        try:
            return Path(value["file"]).read_text().rstrip("\n")
        except OSError as error:
            raise ValueError(f"the file {value['file']} cannot be read: {error.strerror}") from error
    raise ValueError("expected a text, {env = NAME} or {file = PATH}")


Secret = Annotated[SecretStr, BeforeValidator(_resolve)]
"""A secret in the settings: the text itself, `{env = NAME}` or `{file = PATH}`."""


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a settings file.

    Raises:
        InvalidSettings: it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{path}: not valid TOML: {error}") from error


def describe(error: ValidationError, source: str) -> InvalidSettings:
    """One line for each wrong setting."""
    lines = [
        f"{source}: {'.'.join(map(str, item['loc']))}: {_message(item)}"
        for item in error.errors(include_input=False)
    ]
    return InvalidSettings("\n".join(lines))


def _message(item: Any) -> str:
    return "unknown setting" if item["type"] == "extra_forbidden" else str(item["msg"])
