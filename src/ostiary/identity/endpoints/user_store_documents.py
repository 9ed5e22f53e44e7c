"""User stores in the documents of WSO2's user store API: properties with dotted names, base64 identifiers."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict

from ostiary.identity.errors import InvalidUserStore, UnknownUserStore
from ostiary.identity.model import StoreOptions, UserStoreSettings, UserStoreSpec
from ostiary.identity.user_stores.configuration import options_of, read_settings
from ostiary.identity.user_stores.directory import USER_STORES
from ostiary.identity.user_stores.type_settings import Section, inner_types, shown

MASK = "********"
"""A secret that is set; sent back, it is left as it is."""


class StorePropertyDocument(TypedDict):
    """A setting: a dotted name, and its value as text."""

    name: str
    value: str


class ClaimMappingDocument(TypedDict):
    """A claim, and the attribute it is from."""

    claimURI: str
    mappedAttribute: str


class StoreSummaryDocument(TypedDict):
    """A store as a list shows it."""

    id: str
    name: str
    description: str
    enabled: bool
    typeName: str
    typeId: str
    self: str


class WholeStoreDocument(TypedDict):
    """A whole store; secrets are masked."""

    typeId: str
    typeName: str
    name: str
    description: str
    properties: list[StorePropertyDocument]
    claimAttributeMappings: list[ClaimMappingDocument]


class StoreTypeDocument(TypedDict):
    """A type of user stores."""

    typeId: str
    typeName: str
    description: str


class TypePropertyDocument(TypedDict):
    """A setting that stores of a type may have."""

    name: str
    required: bool
    secret: bool
    default: str
    description: str


class TypePropertiesDocument(TypedDict):
    """The settings that a store of a type must have, and may have."""

    Mandatory: list[TypePropertyDocument]
    Optional: list[TypePropertyDocument]


class WholeStoreTypeDocument(StoreTypeDocument):
    """A type with its settings."""

    properties: TypePropertiesDocument


def identifier(name: str) -> str:
    """The identifier of a store or type in an address: base64url without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def named(text: str) -> str:
    """The name in an identifier.

    Raises:
        UnknownUserStore: it is none.
    """
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise UnknownUserStore(text) from error


def summary(store: UserStoreSettings, prefix: str) -> StoreSummaryDocument:
    """A store as a list shows it."""
    own = identifier(store.name)
    return {
        "id": own,
        "name": store.name,
        "description": store.options.description or "",
        "enabled": store.options.enabled,
        "typeName": store.type,
        "typeId": identifier(store.type),
        "self": f"{prefix}/{own}",
    }


def document(store: UserStoreSettings) -> WholeStoreDocument:
    """A whole store; of its secrets whether they are set."""
    told = shown(read_settings(store.type, store.settings), store.sealed)
    options = {k: one for k, one in options_of(store).items() if one is not None and k != "description"}
    properties = [*_flat(options, ""), *_flat(told, "")]
    return {
        "typeId": identifier(store.type),
        "typeName": store.type,
        "name": store.name,
        "description": store.options.description or "",
        "properties": [{"name": name, "value": value} for name, value in properties],
        "claimAttributeMappings": mappings(store),
    }


def mappings(store: UserStoreSettings) -> list[ClaimMappingDocument]:
    """Claims and the attributes they are from."""
    claims = store.settings.get("claims", {})
    return [{"claimURI": claim, "mappedAttribute": attribute} for claim, attribute in claims.items()]


def spec(
    organization_id: str,
    type_name: str,
    name: str,
    description: str,
    properties: Mapping[str, str],
    claims: Mapping[str, str],
) -> UserStoreSpec:
    """A store as these properties and claims with their attributes say.

    Raises:
        InvalidUserStore: names the property and what was expected of it.
    """
    given = _nested({key: value for key, value in properties.items() if value != MASK})
    options = {key: given.pop(key) for key in StoreOptions.model_fields if key in given}
    if description:
        options["description"] = description
    if claims:
        given["claims"] = dict(claims)
    return UserStoreSpec(
        organization_id=organization_id,
        name=name,
        type=type_name,
        settings=read_settings(type_name, given),
        options=StoreOptions.read(options),
    )


def store_type(type_name: str) -> StoreTypeDocument:
    """A type without its settings."""
    model = USER_STORES[type_name].settings
    description = (model.__doc__ or "").strip()
    return {"typeId": identifier(type_name), "typeName": type_name, "description": description}


def type_document(type_name: str) -> WholeStoreTypeDocument:
    """A type with its properties.

    Raises:
        UnknownUserStore: there is no such type.
    """
    if type_name not in USER_STORES:
        raise UnknownUserStore(type_name)
    model = USER_STORES[type_name].settings
    options = (one for one in _properties(StoreOptions, "") if one["name"] not in model.NO_OPTIONS)
    found = [*_properties(model, ""), *options]
    return {
        **store_type(type_name),
        "properties": {
            "Mandatory": [one for one in found if one["required"]],
            "Optional": [one for one in found if not one["required"]],
        },
    }


def _properties(model: type[BaseModel], before: str) -> Iterator[TypePropertyDocument]:
    for name, field in model.model_fields.items():
        types = list(inner_types(field.annotation))
        sections = [one for one in types if isinstance(one, type) and issubclass(one, Section)]
        is_list = "list" in str(field.annotation)
        if sections and not is_list:
            yield from _properties(sections[0], f"{before}{name}.")
            continue
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        yield {
            "name": before + name,
            "required": field.is_required() and not before,
            "secret": SecretStr in types,
            "default": "" if default in (None, [], {}) else _text(default),
            "description": field.description or "",
        }


def _flat(value: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        if name.endswith("_is_set"):
            if inner:
                yield before + name.removesuffix("_is_set"), MASK
        elif isinstance(inner, Mapping) and name != "claims":
            yield from _flat(inner, f"{before}{name}.")
        elif name != "claims" or before:
            yield before + name, _text(inner)


def _nested(properties: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in properties.items():
        *parts, name = key.split(".")
        section = found
        for part in parts:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise InvalidUserStore(key, "a property beside others, not below one that has a value")
        section[name] = _value(value)
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _value(text: str) -> Any:
    """Lists and mappings are written as JSON; everything else is read by what it is for."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
