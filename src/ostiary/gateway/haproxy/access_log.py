"""The access log: one line of JSON a call, written by HAProxy.

Every text in it is either made here, of a known alphabet, or escaped by HAProxy's `json` converter, so that a
hostile path cannot end a string. The query is never in it: it may hold secrets. Read by the agent too, which
explains refused calls by it (`node/explaining.py`).
"""

from __future__ import annotations

import json
from typing import Final, Literal, NamedTuple

AccessLog = Literal["all", "refused", "off"]
NOTHING: Final = "-"
"""What HAProxy writes where a text is not there."""
PATH_AT_MOST: Final = 512
"""Bytes of a path that are logged."""


class Field(NamedTuple):
    """One member of a line."""

    name: str
    expression: str
    """HAProxy's log format."""
    meaning: str
    is_number: bool = False


FIELDS: Final = (
    Field("request_id", "%ID", "the `X-Request-Id` of the answer; what `ostiary explain` takes"),
    Field("trace_id", "%[var(txn.traceparent),bytes(3,32)]", "of `traceparent`, the caller's or ours"),
    Field(
        "organization", "%[var(txn.outcome),field(9,^)]", "whose API was called; `-` where no API was found"
    ),
    Field("api", "%[var(txn.who),field(1,|)]", "its identifier"),
    Field(
        "application",
        "%[var(txn.who),field(2,|)]",
        "identifier of the application that called, once it is known",
    ),
    Field("method", "%HM", "of the request"),
    Field(
        "path",
        f"%[var(txn.asked),bytes(0,{PATH_AT_MOST}),json(utf8s)]",
        f"without the query, {PATH_AT_MOST} bytes of it",
    ),
    Field("status", "%ST", "of the answer", is_number=True),
    Field(
        "refusal",
        "%[var(txn.refusal)]",
        "why the gateway refused it, by name; `-` where the backend answered",
    ),
    Field("code", "%[var(txn.code)]", "the code in the body of a refusal"),
    Field("wanted", "%[var(txn.wanted),json(utf8s)]", "what a refusal missed: scopes, methods, the limit"),
    Field("had", "%[var(txn.had),json(utf8s)]", "what was there instead"),
    Field("client", "%ci", "the caller's address"),
    Field(
        "milliseconds", "%Ta", "from the first byte of the request to the last of the answer", is_number=True
    ),
    Field(
        "backend_milliseconds",
        "%Tr",
        "until the backend began to answer; -1 where none was asked",
        is_number=True,
    ),
    Field("bytes_in", "%U", "read from the caller", is_number=True),
    Field("bytes", "%B", "sent to the caller", is_number=True),
    Field("backend", "%b", "the part of HAProxy's configuration that answered"),
    Field("termination", "%ts", "how it ended, in HAProxy's two letters; `--` is well"),
)


def log_format(node: str) -> str:
    """Return the `log-format` of a listener on the gateway node of that name."""
    members = [f'"{one.name}":{_value(one)}' for one in FIELDS]
    return (
        "{" + ",".join(['"event":"access"', f'"node":{json.dumps(node).replace("%", "%%")}', *members]) + "}"
    )


def _value(field: Field) -> str:
    return field.expression if field.is_number else f'"{field.expression}"'
