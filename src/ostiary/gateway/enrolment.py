"""Gateway nodes on machines of their own: a one-time token, then certificates of our own authority.

The authority is the platform's and lives in the database, its key sealed, so that every control plane of the
installation has the same one. It certifies nodes as clients and control planes as servers, and nothing else.
A node is asked for at each request, so one that is removed is refused at once, whatever its certificate says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlalchemy import Connection

from ostiary.foundation import audit
from ostiary.foundation.certificates import CertificateAuthority, Purpose, requested_key
from ostiary.foundation.events import Event, record
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox, random_token
from ostiary.gateway import repository
from ostiary.gateway.errors import InvalidNodeName, NodeExists, NotEnrolled
from ostiary.gateway.nodes import EMBEDDED, PLATFORM
from ostiary.gateway.repository import AuthorityRecord, NodeRecord
from ostiary.organizations import DEFAULT_ORGANIZATION, find

TOKEN_LIFETIME: Final = timedelta(hours=1)
CONTROL_PLANE_NAME: Final = "control-plane.ostiary.internal"
"""The name every control plane is certified for: a node checks who answers, not at which address."""
_AUTHORITY: Final = "nodes"
_AUTHORITY_LIFETIME: Final = timedelta(days=3650)
_KEY_CONTEXT: Final = "gateway_authority:sealed_key:nodes"
_TOKEN_CONTEXT: Final = "gateway_nodes:enrolment_fingerprint"  # noqa: S105 (where it is used, no secret)
_PREFIX: Final = "ostn_"
_NODE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
_TOKEN: Final = re.compile(r"ostn_([A-Za-z0-9_-]{20,100})\.([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """What an administrator carries to the new node's machine."""

    secret: SecretStr
    authority_fingerprint: str
    """The authority's SHA-256: by it the node knows the control plane before it shows the secret."""

    @classmethod
    def parse(cls, text: str) -> EnrolmentToken:
        """Read one.

        Raises:
            ValueError: it is none; the text is not in the message.
        """
        found = _TOKEN.match(text.strip())
        if found is None:
            raise ValueError("an enrolment token begins with ostn_ and is printed by `ostiary nodes add`")
        return cls(SecretStr(found[1]), found[2])

    def text(self) -> SecretStr:
        """Write it."""
        return SecretStr(f"{_PREFIX}{self.secret.get_secret_value()}.{self.authority_fingerprint}")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A node and what it was just certified with."""

    node: NodeRecord
    certificate: bytes
    authority: bytes


def ensure_authority(connection: Connection, box: SecretBox, now: datetime) -> CertificateAuthority:
    """Return the authority that certifies nodes, making it where there is none. Idempotent."""
    found = find_authority(connection, box)
    if found is not None:
        return found
    made = CertificateAuthority.create("Ostiary gateway nodes", now, _AUTHORITY_LIFETIME)
    sealed = AuthorityRecord(made.certificate_pem.decode(), box.seal(made.key_pem, _KEY_CONTEXT))
    repository.add_authority(connection, _AUTHORITY, sealed, now)
    return made


def find_authority(connection: Connection, box: SecretBox) -> CertificateAuthority | None:
    """Return the authority that certifies nodes; `None` before the first control plane started."""
    found = repository.find_authority(connection)
    if found is None:
        return None
    return CertificateAuthority.from_pem(found.certificate.encode(), box.open(found.sealed_key, _KEY_CONTEXT))


def add_node(
    connection: Connection, name: str, box: SecretBox, now: datetime
) -> tuple[NodeRecord, EnrolmentToken]:
    """Let a node of this name enrol once within the hour; an unused token of that name is void from now on.

    Raises:
        InvalidNodeName: not a name for a node.
        NodeExists: it is enrolled already.
    """
    if _NODE_NAME.match(name) is None or name == EMBEDDED:
        raise InvalidNodeName(
            f"name: 1 to 63 of a-z, 0-9, '.', '_' and '-', and not {EMBEDDED}, were expected"
        )
    found = repository.find_node_by_name(connection, name)
    if found is not None and found.enrolled_at is not None:
        raise NodeExists(
            f"the gateway node {name} is enrolled already: remove it first, or choose another name"
        )
    authority = ensure_authority(connection, box, now)
    token = EnrolmentToken(SecretStr(random_token()), authority.fingerprint)
    node = found or NodeRecord(new_id(), name, rotation=0, acknowledged=0, seen_at=None)
    expires_at = now + TOKEN_LIFETIME
    repository.put_waiting_node(connection, node, _fingerprint(token, box), expires_at, now)
    _note(connection, node, "invited")
    waiting = repository.find_node(connection, node.id)
    assert waiting is not None  # noqa: S101 (written above)
    return waiting, token


def enrol(
    connection: Connection,
    token: EnrolmentToken,
    request: bytes,
    box: SecretBox,
    now: datetime,
    lifetime: timedelta,
) -> Enrolled:
    """Use a token up and certify the node it was made for.

    Raises:
        NotEnrolled: no node waits with this token; nothing changed.
        BadSigningRequest: nothing can be signed; the token is not used up.
    """
    key = requested_key(request)
    authority = find_authority(connection, box)
    node = repository.consume_enrolment(connection, _fingerprint(token, box), now)
    if node is None or authority is None:
        raise NotEnrolled(
            "the enrolment token is unknown, used or over: make a new one with `ostiary nodes add`"
        )
    record(connection, Event("node", PLATFORM, node.id), at=now)
    _note(connection, node, "enrolled")
    certificate = authority.issue(node.id, key, Purpose.CLIENT, now, lifetime)
    return Enrolled(node, certificate, authority.certificate_pem)


def renew(
    connection: Connection, node_id: str, request: bytes, box: SecretBox, now: datetime, lifetime: timedelta
) -> Enrolled:
    """Certify an enrolled node again.

    Raises:
        NotEnrolled: there is no such node (any more).
        BadSigningRequest: nothing can be signed.
    """
    key, authority = requested_key(request), find_authority(connection, box)
    node = find_enrolled_node(connection, node_id)
    if node is None or authority is None:
        raise NotEnrolled("there is no such gateway node")
    certificate = authority.issue(node.id, key, Purpose.CLIENT, now, lifetime)
    return Enrolled(node, certificate, authority.certificate_pem)


def find_enrolled_node(connection: Connection, node_id: str) -> NodeRecord | None:
    """Find the node a certificate names; `None` when it never enrolled, or was removed."""
    found = repository.find_node(connection, node_id)
    is_certified = found is not None and found.enrolled_at is not None and not found.is_embedded
    return found if is_certified else None


def list_nodes(connection: Connection) -> list[NodeRecord]:
    """Return every node, those that wait and the embedded ones too."""
    return repository.all_nodes(connection)


def remove_node(connection: Connection, name: str, now: datetime) -> bool:
    """Remove a node, or void its unused token; its keys are no longer published. `False`: no such node."""
    found = repository.find_node_by_name(connection, name)
    if found is None:
        return False
    repository.remove_node(connection, found.id)
    record(connection, Event("node", PLATFORM, found.id), at=now)
    _note(connection, found, "removed")
    return True


def _note(connection: Connection, node: NodeRecord, verb: str) -> None:
    """Nodes belong to no organization; who administers them is in `default`."""
    organization = find(connection, DEFAULT_ORGANIZATION)
    if organization is not None:
        audit.note(connection, organization.id, "gateway_node", node.id, {}, {"name": node.name}, verb=verb)


def _fingerprint(token: EnrolmentToken, box: SecretBox) -> str:
    return box.fingerprint(token.secret.get_secret_value(), _TOKEN_CONTEXT)
