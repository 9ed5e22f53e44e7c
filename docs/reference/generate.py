"""Writes `settings.md`, `endpoints.md` and `permissions.md` from what the code declares.

A test notices when one is stale.

`make docs` runs it.
"""

import ast
import inspect
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

from ostiary.app import operations
from ostiary.app.settings import PREFIX, Settings
from ostiary.permissions import BINDINGS, BUILT_IN_ROLES, NODES, Access, GuardedRoute

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

Where a permission is named, whoever calls must hold it or an ancestor of it, and a token must carry the
scope beside it too; [permissions](permissions.md) has the tree, and [say who may
administer](../how-to/say-who-may-administer.md) how people and scripts get both. Bodies of `/api` are JSON;
`?` marks a key that may be absent, and a key that does not exist is an error. Refusals of `/api` read
`{"code", "message", "description", "traceId"}`. `ostiary openapi` writes all of it as an OpenAPI 3.1
document, with every answer.
"""
FOR_NODES = "For gateway nodes"
PERMISSIONS_PAGE = """# Permissions and internal scopes

*Made by `docs/reference/generate.py` from the tables of `ostiary.permissions`; do not edit.*

A role has permissions; users and groups of any store and clients have roles. A permission covers what is
below it: with `/permission/admin/manage/identity` one holds `/permission/admin/manage/identity/usermgt/list`.
Permissions are given, never denied. What is below `/permission/protected` is of the whole installation, and
only roles of the organization `default` can have it.

## The tree

In brackets, the leaves of a node.

```
{tree}
```

## Internal scopes

A token gets an internal scope when its client is marked `internal_scopes: true` and its user (or the client,
where it acts for itself) holds every permission beside it. `internal_login` is every user's and no client's.
`scope=SYSTEM` asks for all that one qualifies for; the answer lists them. What one does not qualify for is
left out, and a scope that is not in this table is nobody's.

| scope | takes |
|---|---|
{bound}

## Built-in roles

Every organization begins with them. `admin` always has all of its organization and, in `default`, what is the
installation's too; `everyone` is every user's. Permissions of the others are yours to change.

| role | permissions at first |
|---|---|
{built_in}
"""
ORGANIZATION = "/t/{organization}"
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def settings_page() -> str:
    """The whole page."""
    parts = [HEAD, *_section("", Settings)]
    return "\n".join(parts).rstrip() + "\n"


def endpoints_page() -> str:
    """The whole page."""
    sections: dict[str, list[str]] = {}
    for route in operations():
        if ORGANIZATION not in route.path:
            title = str(route.tags[0]) if route.tags else FOR_NODES
            sections.setdefault(title, []).append(_row(route))
    rows = "\n| method | path | who may call | what it does | body |\n|---|---|---|---|---|\n"
    parts = [f"## {title}\n{rows}" + "\n".join(sections[title]) for title in sorted(sections)]
    return "\n\n".join([ENDPOINTS_HEAD.rstrip(), *parts]) + "\n"


def _row(route: GuardedRoute) -> str:
    does = _sentence((inspect.getdoc(route.endpoint) or "").partition("\n\n")[0])
    method = ", ".join(sorted(route.methods))
    path = route.path.replace(":path", "")
    return f"| {method} | `{path}` | {_who(route.access)} | {does} | {_body(route)} |"


def _who(access: Access) -> str:
    said = [] if access.permissions else [str(access)]
    return "<br>".join([*said, *filter(None, (_code(access.permissions), _code(access.scopes)))])


def permissions_page() -> str:
    """The whole page."""
    bound = "\n".join(f"| `{scope}` | {_code(BINDINGS[scope])} |" for scope in sorted(BINDINGS))
    built_in = "\n".join(
        f"| `{name}` | {_code(nodes) or 'none until you give it some'} |"
        for name, nodes in BUILT_IN_ROLES.items()
    )
    tree = "\n".join(_tree())
    return PERMISSIONS_PAGE.format(tree=tree, bound=bound, built_in=built_in)


def _code(names: Iterable[str]) -> str:
    return "<br>".join(f"`{name}`" for name in sorted(names))


def _tree() -> Iterator[str]:
    """The tree as indented lines; the leaves of a node on its own line."""
    inner = {node.rpartition("/")[0] for node in NODES}
    for node in sorted(NODES & inner):
        leaves = sorted(n.rpartition("/")[2] for n in NODES - inner if n.rpartition("/")[0] == node)
        depth = node.count("/") - 2
        name = node if depth == 0 else node.rpartition("/")[2]
        yield "  " * depth + name + (f"  [{', '.join(leaves)}]" if leaves else "")


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
    Path(__file__).with_name("permissions.md").write_text(permissions_page())
