"""YAML with positions: every key and value knows its line and column.

Read from parser events, so nothing is ever constructed but text, numbers, booleans, null, lists
and mappings. Plain words mean what they mean in YAML 1.2 (`no` and `12:30` are text). Duplicate
keys and tags are mistakes; size, depth and aliases are bounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from ostiary.declarative.complaints import Complaint, Path, Refused

MAX_BYTES = 5_000_000
MAX_DEPTH = 40
MAX_NODES = 500_000
MAX_ALIASES = 1_000

_NULL = re.compile(r"(~|null|Null|NULL|)\Z")
_BOOLEAN = re.compile(r"(?:(true|True|TRUE)|false|False|FALSE)\Z")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)\Z")
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its content, and where each path of it stands in `source`."""

    source: str
    data: Any
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)  # plain numbers, booleans and nulls as written

    def place(self, complaint: Complaint, *, at_key: bool = False) -> Complaint:
        """The complaint with its line and column; a path the file lacks is placed at what holds it."""
        line, column = self._position(complaint.path, at_key=at_key)
        return complaint.at(self.source, line, column)

    def _position(self, path: Path, *, at_key: bool) -> Position:
        if at_key and path in self.keys:
            return self.keys[path]
        for length in range(len(path), -1, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return (1, 1)


def read_documents(text: str, source: str) -> list[Document]:
    """Read every document of a YAML file.

    Raises:
        Refused: not YAML, a duplicate key, a tag, or beyond a bound.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Refused([Complaint((), "a larger file", f"at most {MAX_BYTES // 1_000_000} MB", source=source)])
    reader = _Reader(source, text)
    try:
        documents = list(reader.documents())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        expected = f"valid YAML: {error.problem or error.context}"
        raise Refused([Complaint((), "a syntax error", expected, "", source, line, column)]) from None
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        raise Refused([Complaint((), "unreadable text", f"YAML: {error}", source=source)]) from None
    if reader.complaints:
        raise Refused(reader.complaints)
    return documents


@dataclass(slots=True)
class _Anchored:
    data: Any
    nodes: int


class _Reader:
    """Builds documents from parser events."""

    def __init__(self, source: str, text: str) -> None:
        self._source = source
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._nodes = 0
        self._aliases = 0
        self._anchors: dict[str, _Anchored | None] = {}
        self._document = Document(source, None)
        self.complaints: list[Complaint] = []

    def documents(self) -> Iterator[Document]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._document = Document(self._source, None)
                self._anchors = {}
                data = self._node(next(self._events), ())
                found = self._document
                if data is not None:
                    yield Document(self._source, data, found.values, found.keys, found.texts)

    def _node(self, event: Any, path: Path) -> Any:
        position = (event.start_mark.line + 1, event.start_mark.column + 1)
        self._document.values[path] = position
        self._count(1, position)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, path, position)
        if len(path) > MAX_DEPTH:
            raise self._fatal(path, position, "a deeper nesting", f"at most {MAX_DEPTH} levels")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        before = self._nodes
        data = self._content(event, path, position)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(data, self._nodes - before + 1)
        return data

    def _content(self, event: Any, path: Path, position: Position) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path, position)
        if event.tag not in (None, "!"):
            self._complain(path, position, f"the tag {event.tag}", "no tag")
        return (
            self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else list(self._sequence(path))
        )

    def _sequence(self, path: Path) -> Iterator[Any]:
        index = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, (*path, index))
            index += 1

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            position = (event.start_mark.line + 1, event.start_mark.column + 1)
            key = event.value if isinstance(event, yaml.ScalarEvent) else None
            if key is None:
                raise self._fatal(path, position, "a key that is not text", "text as a key")
            here = (*path, key)
            if key in found:
                first = self._document.keys[here][0]
                self._complain(
                    here, position, "the key a second time", f"it once (it is in line {first} too)"
                )
            else:
                self._document.keys[here] = position
            value = self._node(next(self._events), here)
            found.setdefault(key, value)
        return found

    def _scalar(self, event: Any, path: Path, position: Position) -> Any:
        if event.tag not in _STRING_TAGS:
            self._complain(path, position, f"the tag {event.tag}", "no tag")
        if not event.implicit[0] or (event.style is not None and event.style != ""):
            return event.value
        value = _plain(event.value)
        if not isinstance(value, str):
            self._document.texts[path] = event.value
        return value

    def _alias(self, name: str | None, path: Path, position: Position) -> Any:
        self._aliases += 1
        anchored = self._anchors.get(name or "")
        if anchored is None:
            raise self._fatal(
                path, position, f"*{name}, which refers to itself or to nothing", "a known anchor"
            )
        self._count(anchored.nodes, position)
        if self._aliases > MAX_ALIASES:
            raise self._fatal(path, position, "more aliases", f"at most {MAX_ALIASES}")
        return anchored.data

    def _count(self, nodes: int, position: Position) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._fatal(
                (), position, "more content", f"at most {MAX_NODES} values, aliases spelled out"
            )

    def _complain(self, path: Path, position: Position, found: str, expected: str) -> None:
        self.complaints.append(Complaint(path, found, expected).at(self._source, *position))

    def _fatal(self, path: Path, position: Position, found: str, expected: str) -> Refused:
        self._complain(path, position, found, expected)
        return Refused(self.complaints)


def _plain(text: str) -> Any:
    if _NULL.match(text):
        return None
    if boolean := _BOOLEAN.match(text):
        return boolean[1] is not None
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
