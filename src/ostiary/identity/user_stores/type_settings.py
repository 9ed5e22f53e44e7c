"""Settings of a type of user store: the keys of an organization file, and which of them are secrets.

A type is described once, by a frozen pydantic model. Organization files, the management API and the
database all take it from here, so none of them knows a type by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

Secrets = Mapping[str, SecretStr]
"""Dotted key of the settings, such as `bind.password`, and its value."""


class Section(BaseModel):
    """A part of a type's settings. A secret is a field of type `SecretStr | None`; None: not set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TypeSettings(Section):
    """What a type of user store has besides what every store has."""

    def service(self) -> object:
        """Whom the secrets are for: another value clears them, so none is ever sent elsewhere."""
        return self.without_secrets()

    def check_addresses(self) -> Iterator[tuple[str, str]]:
        """Key and URL of everything that is connected to; each is held against the outbound policy."""
        return iter(())

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
        return found

    def with_secrets(self, secrets: Secrets) -> TypeSettings:
        """The same with these secrets, by dotted key; the others stay as they are."""
        changed: TypeSettings = self
        for key, value in secrets.items():
            changed = _with(changed, key.split("."), value)
        return changed


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
    if rest and inner is None:
        return section  # a part that is not there any more has no secret either
    return section.model_copy(update={name: _with(inner, rest, value) if rest else value})
