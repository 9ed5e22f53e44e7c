"""A document as YAML that a person likes to read: short things on one line, long ones spread out.

Reads back as the same with `documents.read_documents`, and with any reader of YAML 1.1 or 1.2.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

WIDTH: Final = 110
_DEEPEST_LINE = 2
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*(?:[: ][A-Za-z0-9_./@+-]+)*|[0-9]+(?:\.[0-9]+){2,}")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_BLOCK = re.compile(r"(?:[\x21-\x7e][\x20-\x7e]*\n)+[\x21-\x7e][\x20-\x7e]*\n?")
_EMPTY: Final[tuple[object, ...]] = ({}, [])


def laid_out(document: Mapping[str, Any]) -> str:
    """The document as YAML; sections with several entries stand apart."""
    parts = ["\n".join(_entry(key, value, "", section=True)) for key, value in document.items()]
    text = ""
    for key, part in zip(document, parts, strict=True):
        apart = text and not isinstance(document[key], str) and key != "organization"
        text += ("\n" if apart else "") + part + "\n"
    return text


def _entry(key: str, value: Any, indent: str, *, section: bool = False) -> Iterator[str]:
    """A key with its value."""
    name = _scalar(key)
    if isinstance(value, str) and _BLOCK.fullmatch(value):
        yield from _lines(f"{indent}{name}:", value, indent)
        return
    line = f"{indent}{name}: {_flow(value)}"
    is_long_section = section and isinstance(value, list)
    if _is_short(value) or (_fits(line, value) and not is_long_section):
        yield line
        return
    yield f"{indent}{name}:"
    yield from _block(value, f"{indent}  ")


def _block(value: Mapping[str, Any] | Sequence[Any], indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _entry(key, inner, indent)
        return
    for inner in value:
        if isinstance(inner, str) and _BLOCK.fullmatch(inner):
            yield from _lines(f"{indent}-", inner, indent)
            continue
        line = f"{indent}- {_flow(inner)}"
        if _is_short(inner) or _fits(line, inner):
            yield line
            continue
        first, *rest = _block(inner, f"{indent}  ")
        yield f"{indent}- {first.lstrip(' ')}"
        yield from rest


def _lines(head: str, text: str, indent: str) -> Iterator[str]:
    """Text of several lines, such as a certificate, as it is."""
    yield f"{head} {'|' if text.endswith(chr(10)) else '|-'}"
    yield from (f"{indent}  {line}" for line in text.splitlines())


def _is_short(value: Any) -> bool:
    return not isinstance(value, dict | list) or value in _EMPTY


def _fits(line: str, value: Any) -> bool:
    return len(line) <= WIDTH and _depth(value) <= _DEEPEST_LINE and "\n" not in line


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inner), default=0)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return repr(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted: str = yaml.dump(
        value, Dumper=yaml.SafeDumper, default_style='"', allow_unicode=True, width=float("inf")
    )
    return quoted.rstrip("\n")
