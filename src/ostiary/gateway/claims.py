"""What a gateway node is told of a user for one API's backend JWT: the claims that API asks for, no others.

Which these are is read here, from the API, and not taken from the question: a node that asks cannot learn
more than the backends it serves are told anyway.
"""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from ostiary import apim, identity
from ostiary.foundation.events import latest_number
from ostiary.gateway.told import LARGEST, ToldClaims


def claims_for(
    connection: Connection, organization_id: str, api_id: str, subject_id: str
) -> ToldClaims | None:
    """Read what an API is told of a subject of its organization; None where there is no such API."""
    number = latest_number(connection)  # first: whatever is read after it is as new, or newer
    api = apim.find_api(connection, organization_id, api_id)
    if api is None:
        return None
    claims, left_out = chosen(
        api.assertion_claims, identity.claims_of(connection, organization_id, subject_id)
    )
    return ToldClaims(number, claims, left_out)


def chosen(
    asked: Sequence[str], known: Mapping[str, str] | None
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Choose what is told of `known` claims: those asked for, in that order, while there is room.

    The other names are of claims that are left out: for which there is no room, or all where none are known.
    """
    names = {name: apim.claim_in_dialect(name) for name in asked}
    if known is None:
        return {}, tuple(names.values())
    told: dict[str, str] = {}
    left_out: list[str] = []
    room = LARGEST - sum(_size(name) for name in names.values())  # a name is said one way or the other
    for name, in_dialect in names.items():
        value = _value(known, name)
        if value is None:
            continue
        size = len(apim.DIALECT) + _size(value)
        if size > room:
            left_out.append(in_dialect)
        else:
            told[in_dialect], room = value, room - size
    return told, tuple(left_out)


def _value(known: Mapping[str, str], asked: str) -> str | None:
    """Find a claim by the name asked for, or else by another name of the same claim."""
    if asked in known:
        return known[asked]
    wanted = apim.claim_in_dialect(asked)
    return next((known[name] for name in sorted(known) if apim.claim_in_dialect(name) == wanted), None)


def _size(text: str) -> int:
    """Bytes of a text in JSON, with what separates it from the next."""
    return len(json.dumps(text, ensure_ascii=False).encode()) + 1
