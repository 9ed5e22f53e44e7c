"""Files with users: CSV, LDIF, Keycloak realms and SCIM lists, each as users to import, line by line."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TextIO

from ostiary.cli.errors import OperatorError

LARGEST_DOCUMENT: Final = 200_000_000
"""Bytes of a JSON document, which is read whole. CSV and LDIF are read line by line."""
_LONGEST_LINE: Final = 100_000
_LONGEST: Final = {"username": 512, "hash": 1_024}
_LONGEST_CLAIMS: Final = 55_000
"""Characters of all claims of a user: fifty of the longest fit."""
_DISABLED: Final = {
    **dict.fromkeys(("1", "true", "yes", "t", "y"), True),
    **dict.fromkeys(("", "0", "false", "no", "f", "n"), False),
}
_LDIF_CLAIMS: Final = {"mail": "email", "givenname": "given_name", "sn": "family_name", "cn": "name"}


@dataclass(frozen=True, slots=True)
class Line:
    """A user, or what is wrong with a line: then `problem` says what was expected."""

    number: int
    username: str = ""
    hash: str = field(default="", repr=False)
    claims: Mapping[str, str] = field(default_factory=dict)
    disabled: bool = False
    problem: str = ""


def read_users(file: Path, form: str | None) -> Iterator[Line]:
    """Every user of a file. The form follows from the name's ending unless it is said.

    Raises:
        OperatorError: the file cannot be read, or is of no known form.
    """
    chosen = form or _ENDINGS.get(file.suffix.lower(), "")
    if chosen not in _FORMS:
        raise OperatorError(f"{file}: say which form it has: --format {', '.join(_FORMS)}")
    try:
        if chosen in ("keycloak", "scim") and file.stat().st_size > LARGEST_DOCUMENT:
            raise OperatorError(
                f"{file}: a JSON document of at most {LARGEST_DOCUMENT // 10**6} MB was expected"
            )
        with file.open(encoding="utf-8-sig", newline="") as text:
            yield from map(_fitting, _FORMS[chosen](text))
    except UnicodeDecodeError as error:
        raise OperatorError(f"{file}: UTF-8 text was expected") from error
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}") from error
    except _Shape as error:
        raise OperatorError(f"{file}: {error}") from error


class _Shape(ValueError):
    """The whole file is not what it should be."""


def _fitting(line: Line) -> Line:
    """The line, or what is wrong with it where the server could not even read it."""
    texts = (line.username, line.hash, *line.claims.keys(), *line.claims.values())
    for name, most in _LONGEST.items():
        if len(getattr(line, name)) > most:
            return Line(line.number, problem=f"a {name} of at most {most:,} characters")
    if sum(map(len, texts)) > _LONGEST_CLAIMS:
        return replace(line, claims={}, problem="less text in the claims")
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return Line(line.number, problem="text in valid Unicode")
    return line


def _bounded(text: TextIO) -> Iterator[str]:
    """The lines of a text; one without end is not read into memory."""
    number = 0
    while line := text.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise _Shape(f"line {number}: at most {_LONGEST_LINE:,} characters were expected")
        yield line


def _csv(text: TextIO) -> Iterator[Line]:
    """A header with `username` and `hash`, and if any `disabled` and `claim:NAME`."""
    csv.field_size_limit(_LONGEST_LINE)
    rows = csv.DictReader(_bounded(text), strict=True)
    _check_header(rows)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(rows.reader.line_num, problem=f"a line of CSV ({error})")
        else:
            yield _row(rows.line_num, row)


def _check_header(rows: csv.DictReader[str]) -> None:
    """Refuse a first line that is none. It may be somebody's hash, so nothing of it is repeated."""
    try:
        names = list(rows.fieldnames or [])
    except csv.Error:
        names = []
    known = ("username", "hash", "disabled")
    wrong = [
        number
        for number, name in enumerate(names, 1)
        if (name not in known and not name.startswith("claim:")) or names.index(name) != number - 1
    ]
    if wrong or not {"username", "hash"} <= set(names):
        which = f" (not: column {', '.join(map(str, wrong))})" if wrong else ""
        raise _Shape(
            "a first line with the columns username, hash and if any disabled and claim:NAME, each once, "
            f"was expected{which}"
        )


def _row(number: int, row: Mapping[str | None, Any]) -> Line:
    if None in row or None in row.values():
        return Line(number, problem="as many fields as the first line has")
    claims = {
        str(name).removeprefix("claim:"): value
        for name, value in row.items()
        if str(name).startswith("claim:") and value
    }
    disabled = _DISABLED.get(str(row.get("disabled", "")).strip().lower())
    if disabled is None:
        return Line(number, problem="true, false or nothing under disabled")
    return Line(number, row["username"], row["hash"], claims, disabled)


def _ldif(text: TextIO) -> Iterator[Line]:
    """Entries with `uid` and `userPassword` (RFC 2849); others, such as groups, are left out."""
    for number, entry in _entries(text):
        values = {name.lower(): value for name, value in reversed(entry)}
        name = values.get("uid") or values.get("samaccountname")
        if name is None:
            continue
        if "userpassword" not in values:
            yield Line(number, name, problem="a userPassword, so that the user can log in")
            continue
        claims = {_LDIF_CLAIMS[a]: v for a, v in values.items() if a in _LDIF_CLAIMS}
        locked = "pwdaccountlockedtime" in values or values.get("nsaccountlock", "").lower() == "true"
        yield Line(number, name, values["userpassword"], claims, locked)


def _entries(text: TextIO) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Attributes of each entry, and where it begins.

    A line that begins with a space goes on the one before, which may be a comment (RFC 2849).
    """
    lines: list[str] = []
    first = 0
    for number, raw in enumerate(_bounded(text), 1):
        line = raw.rstrip("\r\n")
        if not line:
            if first:
                yield first, _attributes(lines)
            lines, first = [], 0
        elif line.startswith(" ") and lines:
            lines[-1] += line[1:]
        else:
            first = first or (0 if line.startswith("#") else number)
            lines.append(line)
    if first:
        yield first, _attributes(lines)


def _attributes(lines: list[str]) -> list[tuple[str, str]]:
    return [pair for line in lines if (pair := _attribute(line))]


def _attribute(line: str) -> tuple[str, str] | None:
    name, colon, value = line.partition(":")
    if not colon or line.startswith("#"):
        return None
    if not value.startswith(":"):
        return name, value.strip()
    try:
        return name, base64.b64decode(value[1:].strip(), validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return None


def _keycloak(text: TextIO) -> Iterator[Line]:
    """An exported realm: `users`, each with a credential of type `password`."""
    return _made(text, "users", _keycloak_user)


def _keycloak_user(number: int, user: Mapping[str, Any]) -> Line:
    username = _text(user, "username")
    secrets = [one for one in user.get("credentials") or [] if one.get("type") == "password"]
    if not secrets:
        return Line(number, username, problem="a credential of type password")
    names = {"email": "email", "firstName": "given_name", "lastName": "family_name"}
    claims = {claim: str(user[name]) for name, claim in names.items() if user.get(name)}
    kept = json.dumps({key: secrets[0][key] for key in ("credentialData", "secretData")})
    return Line(number, username, kept, claims, not _bool(user, "enabled"))


def _scim(text: TextIO) -> Iterator[Line]:
    """A SCIM list (RFC 7644 §3.4.2) or an array of users; `password` holds the hash."""
    return _made(text, "Resources", _scim_user)


def _scim_user(number: int, user: Mapping[str, Any]) -> Line:
    username = _text(user, "userName")
    if not user.get("password"):
        return Line(number, username, problem="a password, which is a hash")
    name = user.get("name") or {}
    mails = [mail["value"] for mail in user.get("emails") or [] if mail.get("value")]
    said = {"given_name": name.get("givenName"), "family_name": name.get("familyName"), "email": mails[:1]}
    claims = {
        claim: value if isinstance(value, str) else str(value[0]) for claim, value in said.items() if value
    }
    return Line(number, username, _text(user, "password"), claims, not _bool(user, "active"))


def _text(user: Mapping[str, Any], name: str) -> str:
    if not isinstance(user[name], str):
        raise TypeError(name)
    return str(user[name])


def _bool(user: Mapping[str, Any], name: str) -> bool:
    """What is said, True where nothing is; a text that only looks like false must let nobody in."""
    if not isinstance(user.get(name, True), bool):
        raise TypeError(name)
    return bool(user.get(name, True))


def _made(text: TextIO, key: str, make: Callable[[int, Mapping[str, Any]], Line]) -> Iterator[Line]:
    """Every user of a JSON document; one of another shape is a line with a problem."""
    try:
        read = json.load(text)
    except (ValueError, RecursionError) as error:
        raise _Shape(f"a JSON document was expected ({error})") from error
    users = read.get(key) if isinstance(read, dict) else read
    if not isinstance(users, list):
        raise _Shape(f"a list of users under {key!r} was expected")
    for number, user in enumerate(users, 1):
        try:
            yield make(number, user)
        except (TypeError, AttributeError, KeyError, IndexError):
            yield Line(number, problem=f"{key}[{number - 1}] as its program exports it")


_FORMS: Final[Mapping[str, Callable[[TextIO], Iterator[Line]]]] = {
    "csv": _csv,
    "ldif": _ldif,
    "keycloak": _keycloak,
    "scim": _scim,
}
_ENDINGS: Final = {".csv": "csv", ".ldif": "ldif"}
