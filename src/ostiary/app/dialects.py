"""How a refusal reads: whoever asks at an address knows one form, and gets that one.

A row of `DIALECTS` each; the first whose place the address is. The OpenAPI document is made of the same rows.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NotRequired

from starlette.responses import Response
from typing_extensions import TypedDict

from ostiary.declarative.wire import ComplaintDocument
from ostiary.foundation.problem import Problem, render
from ostiary.identity.endpoints import scim, scim_documents
from ostiary.oauth.endpoints import answers as oauth


class ProblemDocument(TypedDict):
    """A refusal; `complaints` says each thing that is wrong with an organization file."""

    code: str | int
    message: str
    description: str
    traceId: str
    complaints: NotRequired[list[ComplaintDocument]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One form of refusals: where it is spoken, and the type and media type of its body."""

    name: str
    place: re.Pattern[str]
    document: type
    media_type: str
    render: Callable[[Problem, str], Response]


DIALECTS: Final = (
    Dialect(
        "SCIM",
        scim.PLACE,
        scim_documents.SCIMErrorDocument,
        scim_documents.MEDIA_TYPE,
        lambda problem, _: scim.refusal(problem),
    ),
    Dialect(
        "OAuth",
        oauth.PLACE,
        oauth.OAuthErrorDocument,
        "application/json",
        lambda problem, _: oauth.refusal(problem),
    ),
    Dialect("Problem", re.compile(""), ProblemDocument, "application/json", render),
)


def dialect_at(path: str) -> Dialect:
    """What is spoken at an address."""
    return next(dialect for dialect in DIALECTS if dialect.place.match(path))
