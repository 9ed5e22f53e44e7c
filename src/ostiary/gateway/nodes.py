"""Gateway nodes as the control plane knows them: the embedded one, their keys, what they have seen.

A node is the platform's: no organization can create one. The embedded node's credential is made by the
process that starts it and lies beside its data, readable by this user alone. Nodes on machines of their own
are in `enrolment`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import SecretStr
from sqlalchemy import Connection, func, select

from ostiary.foundation.events import Event, outbox, record
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox
from ostiary.gateway import repository
from ostiary.gateway.errors import InvalidNodeKeys
from ostiary.gateway.repository import NodeKeyRecord, NodeRecord

EMBEDDED: Final = "embedded"
PLATFORM: Final = "platform"
"""Stands where an event names an organization: nodes belong to none."""
ALIVE: Final = timedelta(seconds=60)
_CONTEXT: Final = "gateway_nodes:credential_fingerprint"
_STATES: Final = frozenset({"announced", "active", "retiring"})
_AT_MOST: Final = 10


def ensure_embedded_node(
    connection: Connection, credential: SecretStr, box: SecretBox, now: datetime
) -> NodeRecord:
    """Return the node with this credential, enrolling it at first sight. Idempotent."""
    found = find_node_by_credential(connection, credential, box)
    if found is not None:
        return found
    node = NodeRecord(new_id(), EMBEDDED, rotation=0, acknowledged=0, seen_at=None)
    repository.add_embedded_node(connection, node, _fingerprint(credential, box), now)
    record(connection, Event("node", PLATFORM, node.id), at=now)
    return node


def find_node_by_credential(
    connection: Connection, credential: SecretStr, box: SecretBox
) -> NodeRecord | None:
    """Find who presents this credential; `None` when nobody may."""
    return repository.find_node_by_fingerprint(connection, _fingerprint(credential, box))


def rotate_node_keys(connection: Connection) -> int:
    """Ask every node for a new key; returns how many nodes there are.

    The new key signs once backends cannot have a JWKS without it any more.
    """
    nodes = repository.raise_rotation(connection)
    record(connection, *(Event("node", PLATFORM, node_id) for node_id in nodes))
    return len(nodes)


def register_node_keys(
    connection: Connection,
    node_id: str,
    keys: Sequence[Mapping[str, Any]],
    now: datetime,
    in_use: timedelta,
) -> bool:
    """Publish exactly these keys (`{kid, jwk, state}`) as the node's; says whether they are the first.

    Then nobody can have a list without them that is not over: no node with a key was seen for as long as one
    may be `in_use` without being seen, until the last list that was fetched for its calls is over. Whoever
    registers at the same time waits, so one of them is first.

    Raises:
        InvalidNodeKeys: not a public P-256 key, or a `kid` that is not its thumbprint (RFC 7638), so that
            no node can take another's place in the published list; or another node's key.
    """
    if len(keys) > _AT_MOST:
        raise InvalidNodeKeys(f"keys: at most {_AT_MOST} were expected")
    checked = {key.kid: key for key in map(_checked, keys)}
    repository.lock_keys(connection)
    for kid, owner in repository.owners_of_keys(connection, list(checked)).items():
        if owner != node_id:
            raise InvalidNodeKeys(f"key {kid}: it is another node's")
    others = repository.other_keys_in_use(connection, node_id, list(checked), now - in_use)
    repository.replace_keys(connection, node_id, list(checked.values()), now)
    return not others


def published_node_keys(connection: Connection) -> list[dict[str, Any]]:
    """Return the JWKs (RFC 7517 §5) with which backends verify `X-JWT-Assertion`."""
    return [dict(key.jwk) for key in repository.all_keys(connection)]


def every_node_knows_key(connection: Connection, kid: str, now: datetime) -> bool:
    """Whether every live node has said it has a plan with this access-token key, so it may sign."""
    lowest = repository.lowest_acknowledged(connection, now - ALIVE)
    if lowest is None:
        return True
    about = (outbox.c.topic == "key") & (outbox.c.key == kid)
    waiting = select(outbox.c.id).where(about, outbox.c.number.is_(None))
    if connection.execute(waiting.limit(1)).first() is not None:
        return False
    latest: int | None = connection.execute(select(func.max(outbox.c.number)).where(about)).scalar()
    return latest is None or lowest >= latest


def _checked(document: Mapping[str, Any]) -> NodeKeyRecord:
    jwk, kid, state = document["jwk"], document["kid"], document["state"]
    if "d" in jwk or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise InvalidNodeKeys(f"key {kid}: a public P-256 key was expected")
    try:
        thumbprint = ECKey.import_key(
            {name: str(jwk[name]) for name in ("kty", "crv", "x", "y")}
        ).thumbprint()
    except (JoseError, KeyError, ValueError) as error:
        raise InvalidNodeKeys(f"key {kid}: not a key ({type(error).__name__})") from error
    if kid != thumbprint or state not in _STATES:
        raise InvalidNodeKeys(f"key {kid}: its thumbprint as kid and a known state were expected")
    public = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
    return NodeKeyRecord(kid, {**public, "kid": kid, "use": "sig", "alg": "ES256"}, state)


def _fingerprint(credential: SecretStr, box: SecretBox) -> str:
    return box.fingerprint(credential.get_secret_value(), _CONTEXT)
