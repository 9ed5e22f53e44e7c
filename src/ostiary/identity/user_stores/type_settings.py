"""Settings of a type of user store: the keys of an organization file, and which of them are secrets.

A type is described once, by a frozen pydantic model. Organization files, the management API and the
database all take it from here, so none of them knows a type by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Self, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity.errors import InvalidUserStore

Secrets = Mapping[str, SecretStr]
"""Dotted key of the settings, such as `bind.password`, and its value."""


FROM_FILE: Final = "from_file"
FileText = Annotated[str, FROM_FILE]
"""Text, such as a certificate in PEM, that an organization file may take from a file: `{file: PATH}`."""


class Section(BaseModel):
    """A part of a type's settings. A secret is a field of type `SecretStr | None`; None: not set."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Self:
        """Read a mapping with these keys.

        Raises:
            InvalidUserStore: names the field and what was expected of it. Never shows what was given.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(step) for step in first["loc"])
            said = "no such key here" if first["type"] == "extra_forbidden" else first["msg"]
            raise InvalidUserStore(field, said.removeprefix("Value error, ")) from None


class TypeSettings(Section):
    """What a type of user store has besides what every store has."""

    ADDRESSES: ClassVar[frozenset[str]] = frozenset()
    """Keys that say whom the secrets are for: another value clears them, so none is ever sent elsewhere."""
    TAKES_PASSWORDS: ClassVar[bool] = True
    """Whether people log in there with a password; without, an identity provider vouches for them."""
    NO_OPTIONS: ClassVar[frozenset[str]] = frozenset()
    """What other stores have and has no meaning there: names of `StoreOptions`."""

    @classmethod
    def looks_up(cls, kept: Mapping[str, Any]) -> bool:
        """Whether people can be looked up there without a password; the settings as they are kept."""
        return False

    def check(self, policy: OutboundPolicy | None) -> None:
        """Hold every address against the policy; without one, against what no policy allows.

        Raises:
            InvalidUserStore: names the field and what was expected of it.
        """

    def service(self) -> Mapping[str, Any]:
        """Whom the secrets are for."""
        plain = self.without_secrets()
        return {key: plain.get(key) for key in self.ADDRESSES}

    def secrets(self) -> Secrets:
        """The secrets that are set, by dotted key."""
        return dict(_secrets(self, ""))

    def without_secrets(self) -> dict[str, Any]:
        """The settings as JSON, without secrets and without what is not set."""
        found: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        for key in self.secrets():
            *parts, name = key.split(".")
            section = found
            for part in parts:
                section = section[part]
            del section[name]
        return {key: value for key, value in found.items() if value not in ({}, [])}

    def has_place_for(self, key: str) -> bool:
        """Whether the secret of that dotted key means anything in these settings."""
        return key in self.with_secrets({key: SecretStr("-")}).secrets()

    def with_secrets(self, secrets: Secrets) -> TypeSettings:
        """The same with these secrets, by dotted key; the others stay, and unknown keys are nowhere."""
        changed: TypeSettings = self
        for key, value in secrets.items():
            changed = _with(changed, key.split("."), value)
        return changed


def shown(settings: TypeSettings, set_keys: Collection[str]) -> dict[str, Any]:
    """The settings for people to read: of each secret, `NAME_is_set`."""
    found = settings.model_dump(mode="json", exclude_none=True)
    for key in _places(type(settings), found, ""):
        *parts, name = key.split(".")
        section = found
        for part in parts:
            section = section[part]
        section.pop(name, None)
        section[f"{name}_is_set"] = key in set_keys
    return {key: value for key, value in found.items() if value not in ({}, [])}


def inner_types(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: of `Part | None`, `Part` and `NoneType`."""
    arguments = get_args(annotation)
    yield from (one for argument in arguments for one in inner_types(argument))
    if not arguments:
        yield annotation


def _places(model: type[BaseModel], found: Mapping[str, Any], before: str) -> Iterator[str]:
    """Where secrets can be, in the sections that are there."""
    for name, field in model.model_fields.items():
        types = list(inner_types(field.annotation))
        if SecretStr in types:
            yield before + name
        for section in types:
            if isinstance(section, type) and issubclass(section, BaseModel) and name in found:
                yield from _places(section, found[name], f"{before}{name}.")


def _secrets(section: BaseModel, before: str) -> Iterator[tuple[str, SecretStr]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, SecretStr):
            yield before + name, value
        elif isinstance(value, BaseModel):
            yield from _secrets(value, f"{before}{name}.")


def _with(section: Any, key: list[str], value: SecretStr) -> Any:
    name, *rest = key
    inner = getattr(section, name, None)
    if name not in type(section).model_fields or (rest and not isinstance(inner, BaseModel)):
        return section  # a part that is not there any more has no secret either
    return section.model_copy(update={name: _with(inner, rest, value) if rest else value})
