"""User stores in an organization file: made from the settings of their types, which say what keys there are.

Here a secret may be `{env: NAME}`, `{file: PATH}` or `{unchanged: true}`, and what a type marks as text of a
file may be `{file: PATH}`; nothing else differs. What a type says of several keys together is checked by
the server, as the type's own model is read there.
"""

from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Field, SecretStr, create_model
from pydantic.fields import FieldInfo

from ostiary.declarative.references import Secret, SecretValue, TextValue
from ostiary.identity import FROM_FILE, USER_STORES, StoreOptions, TypeSettings, read_user_store_settings

PART: Final = ConfigDict(extra="forbid", frozen=True, strict=True)
"""How every mapping of a file is read: unknown keys are mistakes and nothing is converted."""

_COMMON = frozenset({"name", "type", *StoreOptions.model_fields})


class Section(BaseModel):
    """A mapping within a user store."""

    model_config = PART


class StorePart(Section):
    """A user store of some type. The keys of its type are in models made of this one."""

    name: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9._-]{0,62}$")]
    type: str
    if TYPE_CHECKING:  # one of the options, and asked for by name
        case_sensitive: bool

    @property
    def options(self) -> StoreOptions:
        """What every store has; what means nothing for its type is as usual."""
        said = {key: getattr(self, key) for key in type(self).model_fields.keys() & StoreOptions.model_fields}
        return StoreOptions(**said)

    @property
    def settings(self) -> TypeSettings:
        """What its type has, without secrets.

        Raises:
            InvalidUserStore: keys that are right each for itself do not go together.
        """
        return read_user_store_settings(self.type, _without_secrets(self, _COMMON))

    @property
    def secrets(self) -> dict[str, Secret]:
        """What is said about secrets, by dotted key."""
        return dict(_secrets(self, ""))


def _secrets(part: BaseModel, before: str) -> Iterator[tuple[str, Secret]]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Secret):
            yield before + name, value
        elif isinstance(value, BaseModel):
            yield from _secrets(value, f"{before}{name}.")


def _without_secrets(part: BaseModel, other: frozenset[str] = frozenset()) -> dict[str, Any]:
    found = {}
    for name in type(part).model_fields.keys() - other:
        value = getattr(part, name)
        if value is None or isinstance(value, Secret):
            continue
        found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _without_secrets(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of a part, as `create_model` takes them."""
    return {name: (_annotation(field), _default(field)) for name, field in model.model_fields.items()}


def _annotation(field: FieldInfo) -> Any:
    if FROM_FILE in field.metadata:
        return TextValue
    limits = () if SecretStr in get_args(field.annotation) else field.metadata
    found = _converted(field.annotation)
    return Annotated[found, *limits] if limits else found


def _converted(annotation: Any) -> Any:
    """The same for a file: references where there are secrets, lists for tuples, and strict sections."""
    if annotation is SecretStr:
        return SecretValue
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _section(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return TextValue if FROM_FILE in arguments else Annotated[_converted(arguments[0]), *arguments[1:]]
    if origin in (Union, UnionType):
        return Union[*(_converted(one) for one in arguments)]
    if origin is tuple:
        return list[_converted(arguments[0])]  # type: ignore[misc]
    if origin in (list, dict):
        return origin[*(_converted(one) for one in arguments)]
    return annotation


@cache
def _section(model: type[BaseModel]) -> type[Section]:
    """One class for each model: a default is equal to what says the same."""
    return create_model(f"{model.__name__}Part", __base__=Section, **_fields(model))


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return ...
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return _section(type(value)).model_validate(value.model_dump())
    return list(value) if isinstance(value, tuple) else value


def _part(name: str, settings: type[TypeSettings]) -> type[StorePart]:
    options = {key: field for key, field in _fields(StoreOptions).items() if key not in settings.NO_OPTIONS}
    made = {**options, **_fields(settings), "type": (Literal[name], ...)}
    return create_model(f"{settings.__name__}Part", __base__=StorePart, **made)


if TYPE_CHECKING:
    UserStorePart = StorePart
else:
    _PARTS = [_part(name, kind.settings) for name, kind in USER_STORES.items()]
    UserStorePart = Annotated[Union[*_PARTS], Discriminator("type")] if len(_PARTS) > 1 else _PARTS[0]
