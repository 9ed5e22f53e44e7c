"""Who a gateway node on a machine of its own is: its certificate, and whom it believes.

`DIR/node/certificate.pem` holds certificate and key, as HAProxy reads them, `authority.pem` the one authority
it believes, `identity.json` the rest; all 0600. Enrolling asks for the authority first and compares it with
the fingerprint in the token, so the token is never shown to anybody that authority has not certified.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from cryptography import x509
from pydantic import SecretStr

from ostiary.foundation.certificates import fingerprint, key_pem, new_key, signing_request
from ostiary.foundation.private_files import write_private
from ostiary.gateway.enrolment import CONTROL_PLANE_NAME, EnrolmentToken
from ostiary.gateway.node.transport import Transport

_PREFIX: Final = "/internal/gateway/v1"
_ROOM_BYTES: Final = 32_768
_WITHIN: Final = 10.0
_RENEWED_AFTER: Final = 1 / 3
"""Of a certificate's lifetime: what is left then is the time a control plane may be away."""


class NotEnrolled(Exception):
    """The node cannot enrol, or never has; the text says what to do."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """An enrolled node."""

    directory: Path
    node_id: str
    name: str
    control_planes: tuple[str, ...]
    """`https://host:port` of node listeners, any one that answers will do."""
    token_sha256: str
    """Of the token it enrolled with: the same command line, started again, enrols nothing twice."""

    @property
    def certificate_file(self) -> Path:
        """Certificate and key."""
        return self.directory / "certificate.pem"

    @property
    def authority_file(self) -> Path:
        """Whom control planes are certified by."""
        return self.directory / "authority.pem"

    @classmethod
    def load(cls, directory: Path) -> NodeIdentity | None:
        """Read who the node is; `None` where it never enrolled.

        Raises:
            NotEnrolled: the files are damaged.
        """
        file = directory / "identity.json"
        if not file.exists():
            return None
        try:
            told = json.loads(file.read_text())
            names = ("node_id", "name", "token_sha256")
            values = {name: str(told[name]) for name in names}
            return cls(directory, control_planes=tuple(map(str, told["control_planes"])), **values)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotEnrolled(f"{file} is damaged ({error}): remove it and enrol again") from error

    def save(self) -> None:
        """Write who the node is, certificate and authority excepted."""
        told = {
            "node_id": self.node_id,
            "name": self.name,
            "control_planes": list(self.control_planes),
            "token_sha256": self.token_sha256,
        }
        write_private(self.directory / "identity.json", json.dumps(told, indent=2) + "\n")

    def enrolled_with(self, token: str) -> bool:
        """Whether this token is the one that made the node what it is."""
        return self.token_sha256 == _sha256(token)

    def tls(self) -> ssl.SSLContext:
        """Return how to reach a control plane: its authority alone is believed, our certificate shown."""
        context = _trusting(self.authority_file.read_text())
        context.load_cert_chain(self.certificate_file)
        return context

    def renewal_is_due(self, now: datetime) -> bool:
        """Whether to ask for the next certificate."""
        certificate = self._certificate()
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        return now >= certificate.not_valid_before_utc + lifetime * _RENEWED_AFTER

    def expires_at(self) -> datetime:
        """Return when the certificate is over; from then on the node has to enrol again."""
        return self._certificate().not_valid_after_utc

    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_file.read_bytes())


def enrol(
    directory: Path, token_text: str, control_planes: Sequence[str], verify: ssl.SSLContext | None = None
) -> NodeIdentity:
    """Enrol this machine with a one-time token at the first control plane that answers. Blocking.

    Raises:
        NotEnrolled: refused, out of reach, or not the installation the token is from.
        OSError: what the token would bring cannot be kept here; it is not used up.
    """
    try:
        token = EnrolmentToken.parse(token_text)
    except ValueError as error:
        raise NotEnrolled(str(error)) from error
    _find_room(directory)
    reasons = []
    for url in map(checked_url, control_planes):
        try:
            answer, key = _ask(url, token)
        except httpx2.HTTPError as error:
            reasons.append(f"{url}: {error or type(error).__name__}")
            continue
        identity = NodeIdentity(
            directory, answer["node_id"], answer["name"], tuple(control_planes), _sha256(token_text)
        )
        write_private(identity.authority_file, answer["authority"])
        write_private(identity.certificate_file, answer["certificate"].encode() + key)
        identity.save()
        return identity
    raise NotEnrolled(
        f"no control plane answers ({'; '.join(reasons) or 'none is named'}): check --control-plane"
    )


def _find_room(directory: Path) -> None:
    """Write as much as a certificate takes before the token is used up for one.

    Raises:
        OSError: it cannot be written.
    """
    room = directory / "room"
    write_private(room, bytes(_ROOM_BYTES))
    room.unlink()


def checked_url(url: str) -> str:
    """Return the address of a node listener as it is used.

    Raises:
        NotEnrolled: it is none.
    """
    parts = urlsplit(url)
    try:
        is_good = parts.scheme == "https" and parts.hostname and parts.path in ("", "/") and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment or parts.username is not None:
        raise NotEnrolled(f"{url}: https://HOST:PORT of a control plane's node listener was expected")
    return f"https://{parts.netloc}"


def address_of(url: str) -> str:
    """Return `host:port` of a node listener's address."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or 443}"


def _ask(url: str, token: EnrolmentToken) -> tuple[dict[str, Any], bytes]:
    authority = _authority(url, token)
    key = new_key()
    asked = {"token": token.text().get_secret_value(), "request": signing_request(key).decode()}
    transport = _Named(httpx2.HTTPTransport(verify=_trusting(authority)))
    with httpx2.Client(base_url=url, transport=transport, timeout=_WITHIN) as http:
        answer = http.post(f"{_PREFIX}/enrol", json=asked)
    if answer.status_code != 200:
        raise NotEnrolled(f"{url} refuses: {_description(answer)}")
    made: dict[str, Any] = answer.json()
    return made, key_pem(key)


def _authority(url: str, token: EnrolmentToken) -> str:
    """Ask an unknown server for its authority; nothing is told it, and only the expected one is believed."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with httpx2.Client(base_url=url, verify=unverified, trust_env=False, timeout=_WITHIN) as http:
        answer = http.get(f"{_PREFIX}/authority")
    try:
        found = fingerprint(x509.load_pem_x509_certificate(answer.content))
    except ValueError as error:
        raise NotEnrolled(f"{url} is no node listener: its port is 9444 unless set otherwise") from error
    if found != token.authority_fingerprint:
        raise NotEnrolled(
            f"{url} is not the installation this token is from: "
            "somebody else answers there, or the address is wrong"
        )
    return answer.text


def _trusting(authority: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Named(httpx2.BaseTransport):
    """Expects the other side to be certified as a control plane, whatever its address is."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions = {**request.extensions, "sni_hostname": CONTROL_PLANE_NAME}
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class NamedTransport(httpx2.AsyncBaseTransport):
    """The same for the agent."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._inner = Transport(context=context)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to whoever is certified as a control plane."""
        request.extensions = {**request.extensions, "sni_hostname": CONTROL_PLANE_NAME}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


def _description(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["description"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _sha256(token: str) -> str:
    return hashlib.sha256(SecretStr(token.strip()).get_secret_value().encode()).hexdigest()
