"""Values that stand elsewhere: `{env: NAME}`, `{file: PATH}`, `openapi: PATH`, `{unchanged: true}`.

They are resolved where the file is applied, by the command line; the server takes values only.
What a `Secret` holds is written into the request by `reveal` and shown nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, SecretStr, SerializationInfo, ValidationInfo

from ostiary.declarative.complaints import Unacceptable
from ostiary.declarative.documents import Document, read_documents

_LARGEST_FILE = 1_000_000
_TEXT_FORMS = "text, {env: NAME} or {file: PATH}"
_SECRET_FORMS = "text, {env: NAME}, {file: PATH} or {unchanged: true}"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Resolver:
    """Where references lead: an environment, and the directory relative paths start from."""

    environment: Mapping[str, str] = field(repr=False)
    directory: Path

    def variable(self, name: str) -> str:
        """The value of an environment variable.

        Raises:
            Unacceptable: it is not set, or empty.
        """
        if not self.environment.get(name):
            state = "empty" if name in self.environment else "not set"
            raise Unacceptable(f"the environment variable {name}, which is {state}", "it to have a value")
        return self.environment[name]

    def file(self, path: str) -> str:
        """The text of a file without the newline at its end.

        Raises:
            Unacceptable: it cannot be read, is no text, or is too large.
        """
        where = self.directory / path
        try:
            content = where.read_bytes()
            if len(content) > _LARGEST_FILE:
                raise Unacceptable(str(where), f"a file of at most {_LARGEST_FILE // 1_000_000} MB")
            return content.decode("utf-8").rstrip("\r\n")
        except OSError as error:
            raise Unacceptable(str(where), f"a file that can be read ({error.strerror})") from None
        except (UnicodeDecodeError, ValueError) as error:
            if isinstance(error, Unacceptable):
                raise
            raise Unacceptable(str(where), "a file with UTF-8 text") from None

    def document(self, path: str) -> Document:
        """The one YAML or JSON document in a file.

        Raises:
            Unacceptable: it cannot be read or holds something else.
        """
        documents = read_documents(self.file(path), str(self.directory / path))
        if len(documents) != 1:
            raise Unacceptable(path, "a file with one document")
        return documents[0]


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of the file; `value` None is `{unchanged: true}`. `plain`: it stands in the file itself."""

    value: SecretStr | None
    plain: bool = False


def _secret(value: Any, info: ValidationInfo) -> Secret:
    if isinstance(value, str):
        if not value:
            raise Unacceptable("nothing", _SECRET_FORMS)
        return Secret(SecretStr(value), plain=True)
    if value == {"unchanged": True}:
        return Secret(None)
    return Secret(SecretStr(_resolved(value, info, _SECRET_FORMS)))


def _text(value: Any, info: ValidationInfo) -> str:
    return value if isinstance(value, str) else _resolved(value, info, _TEXT_FORMS)


def _resolved(value: Any, info: ValidationInfo, expected: str) -> str:
    match value:
        case {"env": str(name), **others} | {"file": str(name), **others} if not others:
            resolver = resolver_of(info)
            if resolver is None:
                raise Unacceptable("a reference", "a value: references are resolved before they are sent")
            return resolver.variable(name) if "env" in value else resolver.file(name)
    found = "a mapping with other keys" if isinstance(value, dict) else _kind(value)
    raise Unacceptable(found, f"{expected}{'' if isinstance(value, dict | list) else ' (put it in quotes)'}")


def resolver_of(info: ValidationInfo) -> Resolver | None:
    """The resolver of this validation; None on the server."""
    return (info.context or {}).get("resolver")


def _reveal(secret: Secret, info: SerializationInfo) -> Any:
    if secret.value is None:
        return {"unchanged": True}
    reveal = bool((info.context or {}).get("reveal"))
    return secret.value.get_secret_value() if reveal else "**********"


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", type(None): "nothing"}
    return names.get(type(value), "something else")


SecretValue = Annotated[Secret, PlainValidator(_secret), PlainSerializer(_reveal)]
"""A secret: text, `{env: NAME}`, `{file: PATH}` or `{unchanged: true}`."""

TextValue = Annotated[str, PlainValidator(_text)]
"""Text that may stand elsewhere: text, `{env: NAME}` or `{file: PATH}`."""
