"""An organization's own login service, as it may have existed for years: credentials in, yes or no out.

    POST /authenticate   {"credentials": {"username": "testuser", "password": "…"}}
    200                  {"response": {"status": "true"}}      or "false"

The service itself is protected with HTTP Basic. Standard library only; nothing of Ostiary is imported.
Users are read from the environment (`LOGIN_SERVICE_USERS='{"testuser": "…"}'`): no password is in this file.
"""

import argparse
import base64
import hmac
import json
import os
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 64 * 1024


class LoginService(ThreadingHTTPServer):
    """Knows its users' passwords and who may ask."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, users: dict[str, str], username: str, password: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.users = users
        credentials = f"{username}:{password}".encode()
        self.authorization = "Basic " + base64.b64encode(credentials).decode()

    def accepts(self, username: str, password: str) -> bool:
        known = self.users.get(username, "")
        return hmac.compare_digest(known.encode(), password.encode()) and bool(known)


class Handler(BaseHTTPRequestHandler):
    """One endpoint."""

    server: LoginService
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY))
        offered = self.headers.get("Authorization", "")
        if not hmac.compare_digest(offered.encode(), self.server.authorization.encode()):
            self.answer(
                401, {"error": "say who you are"}, {"WWW-Authenticate": 'Basic realm="login service"'}
            )
        elif self.path != "/authenticate":
            self.answer(404, {"error": "POST /authenticate"})
        else:
            self.authenticate(body)

    def authenticate(self, body: bytes) -> None:
        try:
            credentials = json.loads(body)["credentials"]
            accepted = self.server.accepts(str(credentials["username"]), str(credentials["password"]))
        except (ValueError, KeyError, TypeError):
            self.answer(400, {"error": 'expected {"credentials": {"username": …, "password": …}}'})
            return
        self.answer(200, {"response": {"status": "true" if accepted else "false"}})

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {"status": "up"})
        else:
            self.answer(405, {"error": "POST /authenticate"}, {"Allow": "POST"})

    def answer(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A login service does not write its callers to the terminal."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A yes/no login service")
    parser.add_argument("--port", type=int, default=9700)
    parser.add_argument(
        "--username", default="gateway", help="who may ask (password: EXTERNAL_STORE_PASSWORD)"
    )
    options = parser.parse_args()
    password = os.environ.get("EXTERNAL_STORE_PASSWORD")
    users = os.environ.get("LOGIN_SERVICE_USERS")
    if not password or not users:
        sys.exit("set EXTERNAL_STORE_PASSWORD, and LOGIN_SERVICE_USERS to JSON: {user name: password}")
    service = LoginService(options.port, json.loads(users), options.username, password)
    print(f"login service on http://127.0.0.1:{service.server_port}/authenticate", flush=True)
    with suppress(KeyboardInterrupt):
        service.serve_forever()


if __name__ == "__main__":
    main()
