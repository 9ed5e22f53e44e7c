"""A backend behind the gateway: it has no passwords and no tokens, it verifies who is calling.

The gateway sends `X-JWT-Assertion`, a JWT signed with the gateway node's own key. The backend checks the
signature against the published JWKS, the algorithm, the type, the audience and the time. It keeps the JWKS
for exactly as long as `Cache-Control: max-age` allows and fetches nothing in between: a key is published
for longer than that before it signs.

Answers tell what arrived (the caller's name and every header), so that one can see what a backend sees.
"""

import argparse
import base64
import json
import re
import ssl
import threading
import time
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

CLAIMS = "http://wso2.org/claims/"
ORDERS = {"1": {"id": "1", "item": "lamp", "quantity": 2}, "2": {"id": "2", "item": "chair", "quantity": 4}}


class NotVerified(Exception):
    """The assertion is missing or does not prove anything."""


class PublishedKeys:
    """The gateway's JWKS, kept for its max-age; fetched again, once a second at most, for a key it lacks.

    A gateway node that is new signs with a key nobody has seen yet.
    """

    def __init__(self, url: str, ca: str | None) -> None:
        self._url = url
        self._ca = ca
        self._lock = threading.Lock()
        self._keys = KeySet([])
        self._fresh_until = 0.0
        self._fetched_at = -1.0

    def with_key(self, kid: object) -> KeySet:
        """The keys, that one among them if it is published."""
        with self._lock:
            now = time.monotonic()
            is_known = any(key.kid == kid for key in self._keys.keys)
            if now >= self._fresh_until or (not is_known and now >= self._fetched_at + 1):
                self._fetched_at = now
                self._fetch()
            return self._keys

    def _fetch(self) -> None:
        tls = ssl.create_default_context(cafile=self._ca) if self._url.startswith("https") else None
        with urllib.request.urlopen(self._url, timeout=5, context=tls) as response:
            published = json.load(response)
            cache_control = response.headers.get("Cache-Control", "")
        max_age = re.search(r"max-age=(\d+)", cache_control)
        self._keys = KeySet.import_key_set(published)
        self._fresh_until = time.monotonic() + (int(max_age[1]) if max_age and published["keys"] else 0)


def _kid(assertion: str) -> object:
    """Which key a token says it is signed with; nothing is believed of it."""
    encoded = assertion.partition(".")[0]
    header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return header.get("kid") if isinstance(header, dict) else None


class Backend(ThreadingHTTPServer):
    """Orders, for callers whose assertion verifies."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, keys: PublishedKeys, audience: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.keys = keys
        self.audience = audience

    def verify(self, assertion: str | None) -> dict[str, Any]:
        """The claims of a genuine, current assertion that is meant for this backend."""
        if not assertion:
            raise NotVerified("no X-JWT-Assertion: this call did not come through the gateway")
        try:
            keys = self.keys.with_key(_kid(assertion))
            token = jwt.decode(assertion, keys, algorithms=["ES256", "RS256"])
            required = jwt.JWTClaimsRegistry(
                leeway=5, exp={"essential": True}, aud={"essential": True, "value": self.audience}
            )
            required.validate(token.claims)
        except (JoseError, ValueError) as problem:
            raise NotVerified(f"X-JWT-Assertion does not verify: {problem}") from problem
        if token.header.get("typ") == "at+jwt":
            raise NotVerified("X-JWT-Assertion is an access token")
        return token.claims


class Handler(BaseHTTPRequestHandler):
    """`/` lists and creates orders, `/{id}` shows one; every answer shows who called and what arrived."""

    server: Backend
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self.serve(200, {"orders": list(ORDERS.values())})
        elif order := ORDERS.get(path.lstrip("/")):
            self.serve(200, {"order": order})
        else:
            self.serve(404, {"error": "no such order"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.serve(201, {"received": body.decode(errors="replace")})

    do_HEAD = do_GET

    def serve(self, status: int, value: dict[str, Any]) -> None:
        try:
            claims = self.server.verify(self.headers.get("X-JWT-Assertion"))
        except NotVerified as refusal:
            self.answer(401, {"error": str(refusal)})
            return
        except OSError as problem:
            self.answer(503, {"error": f"the gateway's keys cannot be fetched: {problem}"})
            return
        headers = {name.lower(): text for name, text in self.headers.items()}
        seen = {"enduser": claims.get(CLAIMS + "enduser"), "headers": headers, "claims": claims}
        self.answer(status, {**value, **seen, "path": self.path})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the answers tell enough."""


def main() -> None:
    parser = argparse.ArgumentParser(description="The Orders backend")
    parser.add_argument("--port", type=int, default=9701)
    parser.add_argument("--jwks", default="https://localhost:8243/t/my_company/gateway/jwks")
    parser.add_argument("--ca", help="certificate authority of the gateway (the file `ready.json` names)")
    parser.add_argument("--audience", default="my_company/orders/1.0.0")
    options = parser.parse_args()
    backend = Backend(options.port, PublishedKeys(options.jwks, options.ca), options.audience)
    print(f"backend on http://127.0.0.1:{backend.server_port}", flush=True)
    with suppress(KeyboardInterrupt):
        backend.serve_forever()


if __name__ == "__main__":
    main()
