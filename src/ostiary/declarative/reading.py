"""From content to a checked `OrganizationFile`: what pydantic found wrong, in words a person can act on."""

import re
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ostiary.declarative.complaints import Complaint, Path, Refused, did_you_mean
from ostiary.declarative.consistency import inconsistencies
from ostiary.declarative.documents import Document
from ostiary.declarative.limits import MOST_COMPLAINTS
from ostiary.declarative.references import Resolver, Secret
from ostiary.declarative.schema import OrganizationFile

_PATTERNS: dict[str, str] = {
    r"^[^\x00-\x1f\x7f]+$": "one line of text",
    r"^[^\x00-\x1f\x7f/]+$": "one line of text without '/'",
    r"^[^:\x00-\x1f\x7f]*$": "a user name without ':'",
    r"^[A-Z0-9][A-Z0-9._-]{0,62}$": "a name of A-Z, 0-9, '.', '_' and '-' such as EXTERNAL",
    r"^/permission(/[A-Za-z0-9_.-]+)+$": "a permission such as /permission/admin/manage",
    r"^[1-9][0-9]{0,8}(KB|MB|GB)$": "an amount such as 10MB",
    r"^ldaps?://[^\s]+$": "an address such as ldaps://dc1.corp.example",
    r"^[a-z][a-z0-9+.-]*://?[^\s]+$": "a URL",
    r"^(postgresql|mysql|mariadb|sqlite):///?[^\s]+$": "postgresql://…, mysql://… or sqlite:///…",
}
_EXPECTED: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_type": lambda _: "text",
    "int_type": lambda _: "a whole number",
    "bool_type": lambda _: "true or false",
    "list_type": lambda _: "a list",
    "dict_type": lambda _: "a mapping",
    "model_type": lambda _: "a mapping",
    "model_attributes_type": lambda _: "a mapping",
    "literal_error": lambda context: f"one of {context['expected']}".replace(" or ", ", "),
    "union_tag_invalid": lambda context: f"one of {context['expected_tags']}",
    "union_tag_not_found": lambda context: f"the key {context['discriminator']}",
    "greater_than_equal": lambda context: f"at least {context['ge']:,}",
    "less_than_equal": lambda context: f"at most {context['le']:,}",
    "string_too_short": lambda context: f"at least {context['min_length']} characters",
    "string_too_long": lambda context: f"at most {context['max_length']} characters",
    "too_short": lambda context: f"a list of at least {context['min_length']}",
    "too_long": lambda context: f"a list of at most {context['max_length']}",
    "string_pattern_mismatch": lambda context: _PATTERNS.get(
        context["pattern"], f"text like {context['pattern']}"
    ),
}
_SHOWN = ("literal_error", "value_error", "string_pattern_mismatch", "greater_than_equal", "less_than_equal")
_QUOTED = re.compile(r"'([^']*)'")


def check_file(data: Any, resolver: Resolver | None = None) -> OrganizationFile:
    """Check the content of one organization file; the server does so without a `resolver`.

    Raises:
        Refused: with every mistake, each with its path.
    """
    if complaints := list(islice(_unwritable(data, ()), MOST_COMPLAINTS)):
        raise Refused(complaints)
    try:
        file = OrganizationFile.model_validate(data, context={"resolver": resolver})
    except ValidationError as error:
        mistakes = islice(error.errors(include_url=False), MOST_COMPLAINTS)
        found = [_complaint(data, item) for item in mistakes]
        raise Refused(_without_echoes(found)) from None
    if complaints := inconsistencies(file):
        raise Refused(complaints[:MOST_COMPLAINTS])
    return file


def _unwritable(data: Any, path: Path) -> Iterator[Complaint]:
    if isinstance(data, str):
        if "\x00" in data or any("\ud800" <= character <= "\udfff" for character in data):
            yield Complaint(path, "a NUL or half a character", "text")
    elif isinstance(data, dict | list):
        for step, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _unwritable(value, (*path, step))
            if isinstance(step, str):
                yield from _unwritable(step, path)


def read_file(document: Document, resolver: Resolver) -> OrganizationFile:
    """Check a document; every mistake says its line and column.

    Raises:
        Refused: with every mistake.
    """
    try:
        return check_file(document.data, resolver)
    except Refused as refused:
        raise Refused(placed(document, refused.complaints)) from None


def placed(document: Document, complaints: Iterable[Complaint]) -> list[Complaint]:
    """The complaints in the order of the file, each at its line and column."""
    found = [
        document.place(_as_written(document, complaint), at_key=complaint.found.startswith("the unknown key"))
        for complaint in complaints
    ]
    return sorted(found, key=lambda complaint: (complaint.line, complaint.column))


def plain_secrets(document: Document, file: OrganizationFile) -> list[str]:
    """The places of secrets that stand in the file itself."""
    return [
        f"{complaint.place}: {complaint.where}"
        for complaint in (
            document.place(Complaint(path, "", "")) for path, secret in _secrets(file, ()) if secret.plain
        )
    ]


def secret_paths(file: OrganizationFile) -> list[Path]:
    """The places of all secrets, in the order of the schema."""
    return [path for path, _ in _secrets(file, ())]


def _secrets(value: Any, path: Path) -> Iterator[tuple[Path, Secret]]:
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in (name for name in type(value).model_fields if name in value.model_fields_set):
            yield from _secrets(getattr(value, name), (*path, name))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _secrets(entry, (*path, index))


def _as_written(document: Document, complaint: Complaint) -> Complaint:
    """Show a number or word as the file has it, which may differ from how it was read (1.0, TRUE)."""
    text = document.texts.get(complaint.path)
    if text is None or complaint.expected != "text":
        return complaint
    return replace(complaint, found=f"{complaint.found} ({text})", hint=f'put it in quotes: "{text}"')


def _complaint(data: Any, item: Any) -> Complaint:
    kind, context = item["type"], item.get("ctx", {})
    path, rest = _walk(data, item["loc"])
    if kind == "extra_forbidden":
        known = keys_at(OrganizationFile, data, path[:-1])
        hint = did_you_mean(str(path[-1]), known) or f"known here: {', '.join(known)}"
        return Complaint(path, f"the unknown key {path[-1]!r}", "a known key", hint)
    if kind == "missing":
        return Complaint(path, "nothing", f"the key {rest[-1]!r}")
    if kind == "value_error" and hasattr(context.get("error"), "expected"):
        error = context["error"]
        return Complaint(path, error.found, error.expected, _hint_for(item, error.expected))
    if kind == "value_error" and isinstance(context.get("error"), Refused):
        return Complaint(path, "a file with mistakes", str(context["error"]))
    message = str(item["msg"]).removeprefix("Value error, ")
    expected = _EXPECTED[kind](context) if kind in _EXPECTED else message
    shown = kind in _SHOWN and isinstance(item["input"], str | int | float)
    found = repr(item["input"]) if shown and "@" not in str(item["input"]) else _kind(item["input"])
    if kind == "union_tag_invalid":
        path, found = (*path, "type"), repr(context["tag"])
    return Complaint(path, found, expected, _hint_for(item, expected))


def _hint_for(item: Any, expected: str) -> str:
    known = _QUOTED.findall(expected) if item["type"] in ("literal_error", "union_tag_invalid") else []
    text = item.get("ctx", {}).get("tag", item["input"])
    return did_you_mean(text, known) if isinstance(text, str) else ""


def _walk(data: Any, location: tuple[Any, ...]) -> tuple[Path, tuple[Any, ...]]:
    """Pydantic's location as a path of the data, and the steps the data lacks."""
    path: list[str | int] = []
    rest: list[Any] = []
    for step in location:
        in_list = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if in_list or (isinstance(data, dict) and step in data):
            data = data[step]
            path.append(step)
        else:
            rest.append(step)
    return tuple(path), tuple(rest)


def keys_at(annotation: Any, data: Any, path: Path) -> list[str]:
    """The keys the schema knows at a path of the data."""
    model = _model(annotation, data)
    if not path:
        return list(model.model_fields) if model else []
    inner: Any = None
    if model is not None and path[0] in model.model_fields:
        inner = model.model_fields[str(path[0])].annotation
    else:
        arguments = [a for part in _members(annotation) for a in get_args(part)]
        inner = arguments[-1] if arguments else None
    step: Any = path[0]
    return keys_at(inner, data[step], path[1:]) if inner is not None else []


def _model(annotation: Any, data: Any) -> type[BaseModel] | None:
    models = [m for m in _members(annotation) if isinstance(m, type) and issubclass(m, BaseModel)]
    tag = data.get("type") if isinstance(data, dict) else None
    for model in models:
        field = model.model_fields.get("type")
        if field is not None and tag in get_args(field.annotation):
            return model
    return models[0] if models else None


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [annotation]


def _without_echoes(complaints: list[Complaint]) -> list[Complaint]:
    return list(dict.fromkeys(complaints))


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    if value == []:
        return "an empty list"
    return "nothing" if value is None else names.get(type(value), "a mapping")
