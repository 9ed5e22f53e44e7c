"""Writes `settings.md` from the settings, `endpoints.md` from the routes; a test notices when one is stale.

`make docs` runs it.
"""

import ast
import inspect
import tempfile
import textwrap
from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from ostiary.app import build_app, framework_of
from ostiary.app.settings import PREFIX, Settings
from ostiary.permissions import GuardedRoute

HEAD = """# Settings

*Made by `docs/reference/generate.py` from the settings' own declarations; do not edit.*

A setting is looked for in this order, the later one wins: its default, the TOML file given with
`ostiary serve --config FILE`, an environment variable, the command line. A name that does not exist is an
error, wherever it is written. In the file, a section is a table (`[tokens]`); in the environment, two
underscores go into a section (`OSTIARY_TOKENS__ACCESS_TOKEN_LIFETIME=600`).

A duration is a number of seconds or an ISO 8601 duration (`PT10M`). Where a secret is expected, the file may
say `{env = "NAME"}` or `{file = "PATH"}` instead of the secret itself.
"""
ENDPOINTS_HEAD = """# Endpoints

*Made by `docs/reference/generate.py` from the routes' own declarations; do not edit.*

Everything but what gateway nodes ask is there twice: as written, for the organization `default`, and under
`/t/ORGANIZATION`. The management listener serves all of it but `/internal`; the gateway listener serves
`/token`, `/revoke`, `/jwks` and `/gateway/jwks`. *Anybody* means that the endpoint authenticates clients
itself, as its protocol says.

Administrators authenticate with Basic; until there is a tree of permissions, the role `admin` of the
organization has all of them. Bodies of `/api` are JSON; `?` marks a key that may be absent, and a key that
does not exist is an error. Refusals of `/api` read `{"code", "message", "description", "traceId"}`.
"""
NODES = "For gateway nodes"
ORGANIZATION = "/t/{organization}"
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def settings_page() -> str:
    """The whole page."""
    parts = [HEAD, *_section("", Settings)]
    return "\n".join(parts).rstrip() + "\n"


def endpoints_page() -> str:
    """The whole page."""
    sections: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as directory:
        app = framework_of(build_app(Settings(data_dir=Path(directory))))
    for route in sorted(_routes(app.routes), key=lambda route: (route.path, sorted(route.methods))):
        if ORGANIZATION not in route.path:
            title = str(route.tags[0]) if route.tags else NODES
            sections.setdefault(title, []).append(_row(route))
    rows = "\n| method | path | who may call | what it does | body |\n|---|---|---|---|---|\n"
    parts = [f"## {title}\n{rows}" + "\n".join(sections[title]) for title in sorted(sections)]
    return "\n\n".join([ENDPOINTS_HEAD.rstrip(), *parts]) + "\n"


def _routes(routes: Iterable[Any]) -> Iterator[GuardedRoute]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _routes(inner.routes)
        else:
            yield route


def _row(route: GuardedRoute) -> str:
    does = _sentence((inspect.getdoc(route.endpoint) or "").partition("\n\n")[0])
    method = ", ".join(sorted(route.methods))
    path = route.path.replace(":path", "")
    return f"| {method} | `{path}` | {route.access} | {does} | {_body(route)} |"


def _body(route: GuardedRoute) -> str:
    for part in _alternatives(get_type_hints(route.endpoint).get("body")):
        if inspect.isclass(part) and issubclass(part, BaseModel):
            fields = sorted(part.model_fields.items(), key=lambda item: not item[1].is_required())
            return ", ".join(f"`{name}{'' if field.is_required() else '?'}`" for name, field in fields)
    return ""


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    documented = _attribute_docstrings(model)
    rows: list[str] = []
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        section = _section_of(field.annotation)
        if section is not None:
            inner.append((f"{path}.{name}".lstrip("."), section))
            continue
        meaning = field.description or documented.get(name, "")
        variable = PREFIX + f"{path}.{name}".lstrip(".").replace(".", "__").upper()
        rows.append(
            f"| `{name}` | {_kind(field)} | {_default(field)} | {_sentence(meaning)} | `{variable}` |"
        )
    yield f"## {f'`[{path}]`' if path else 'At the top level'}\n"
    if path:
        yield f"{_sentence(inspect.getdoc(model) or '')}\n"
    if rows:
        yield "| name | value | default | meaning | variable |"
        yield "|---|---|---|---|---|"
        yield "\n".join(rows) + "\n"
    for inner_path, section in inner:
        yield from _section(inner_path, section)


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The string below each field's declaration."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0].body  # type: ignore[attr-defined]
    found = {}
    for field, below in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[ast.unparse(field.target)] = inspect.cleandoc(str(below.value.value))
    return found


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for part in get_args(annotation) if part is not NoneType]
        return [inner for part in parts for inner in _alternatives(part)]
    return [annotation]


def _section_of(annotation: Any) -> type[BaseModel] | None:
    for part in _alternatives(annotation):
        if inspect.isclass(part) and issubclass(part, BaseModel):
            return part
    return None


def _kind(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {_value(getattr(bound, name))}"
        for bound in field.metadata
        for kind, name, sign in ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))
        if isinstance(bound, kind)
    ]
    names = " or ".join(dict.fromkeys(_type_name(part) for part in _alternatives(field.annotation)))
    return ", ".join([names, *bounds])


def _type_name(annotation: Any) -> str:
    names = {
        int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path",
        timedelta: "duration", SecretStr: "secret",
    }  # fmt: skip
    if annotation in names:
        return names[annotation]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (tuple, list, frozenset):
        return f"list of {_type_name(get_args(annotation)[0])}s"
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    if get_origin(annotation) in (Union, UnionType):
        return _type_name(get_args(annotation)[0])
    return {"IPv4Network": "network", "IPv6Network": "network"}.get(annotation.__name__, annotation.__name__)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "chosen at start"
    if field.is_required():
        return "*required*"
    return "none" if field.default is None else f"`{_value(field.default)}`"


def _value(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        whole = ((unit, size) for unit, size in UNITS if seconds and seconds % size == 0)
        return next((f"{seconds / size:.0f} {unit}" for unit, size in whole), f"{seconds:g} s")
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value)


def _sentence(text: str) -> str:
    line = " ".join(text.split()).replace("|", "\\|")
    return line[:1].upper() + line[1:] + ("" if not line or line.endswith(".") else ".")


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(settings_page())
    Path(__file__).with_name("endpoints.md").write_text(endpoints_page())
