"""Schemathesis, a fuzzer nobody here wrote, against everything that the OpenAPI document says.

`python -m tests.interop.fuzzing [SECONDS]` runs it for so many seconds as each of three callers (200 if not
said) and prints what it finds; `test_schemathesis.py` runs a small part of the same.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.http.permissions.callers import ADMINISTRATOR, NOBODY, Callers
from tests.http.permissions.matrix import SCOPES
from tests.support.conformance import closed
from tests.support.ports import free_port

from ostiary.app import build_app, framework_of, load_settings, migrate
from ostiary.foundation.database import write_engine
from ostiary.foundation.identifiers import new_id
from ostiary.organizations import Organization, put

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "negative_data_rejection",
    "unsupported_method",
)
CALLERS = {
    "administrator": (ADMINISTRATOR, SCOPES),
    "user": (NOBODY, frozenset({"internal_login"})),
    "anybody": None,
}
"""Who calls: the name of a user of `default`, and the scopes of the token."""
SEED = 20_261_130
CONFIGURATION = """
[[operations]]
include-path-regex = "/scim2/"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 501]
"""
"""What a client may search for and we do not serve is a 501 (RFC 7644 §3.12), where the document says so."""


@dataclass
class Tokens:
    """Puts the token of a caller where a request names that caller.

    What the fuzzer does may end a token, as replacing every signing key does; the next request has another.
    """

    app: ASGIApp
    callers: Callers
    statuses: Counter[int] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        name = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
        who = CALLERS.get(name)
        if who is not None:
            token = self.callers.token("default", *who)["Authorization"].encode()
            rest = [(n, v) for n, v in scope["headers"] if n != b"authorization"]
            scope["headers"] = [*rest, (b"authorization", token)]

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1
                if message["status"] == 401 and who is not None:
                    self.callers.tokens.clear()
            await send(message)

        await self.app(scope, receive, watched)


@dataclass(frozen=True)
class Outcome:
    """What became of a run: how many operations were tried, and what was said of them."""

    is_clean: bool
    tested: int
    text: str


@dataclass(frozen=True)
class Served:
    """A running control plane and the document of what it serves."""

    url: str
    document: Path
    operations: int
    app: Tokens

    def fuzz(self, caller: str, *options: str) -> Outcome:
        """Run schemathesis as one of the callers."""
        self.app.statuses.clear()
        header = [] if CALLERS[caller] is None else ["-H", f"Authorization: Bearer {caller}"]
        command = [
            *(str(Path(sys.executable).with_name("st")), "run", str(self.document), "--url", self.url),
            *("--checks", ",".join(CHECKS), "--seed", str(SEED), "--warnings", "off"),
            *("--continue-on-failure", "--suppress-health-check", "all", "--no-color"),
            *header,
            *options,
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.document.parent)
        tested = re.search(r"Tested: (\d+)", done.stdout)
        return Outcome(done.returncode == 0, int(tested[1]) if tested else 0, done.stdout + done.stderr)


@contextmanager
def served(directory: Path) -> Iterator[Served]:
    """An installation with its people, on a port of its own."""
    settings = load_settings(None, {"data_dir": directory})
    migrate(settings.database)
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        put(connection, Organization(new_id(), "default", "Default"))
    engine.dispose()
    callers = Callers(settings)
    callers.make([])
    app = build_app(settings)
    document = _as_served(closed(framework_of(app).openapi()))
    path = directory / "openapi.json"
    (directory / "schemathesis.toml").write_text(CONFIGURATION)
    path.write_text(json.dumps(document))
    tokens = Tokens(app, callers)
    with _listening(tokens) as url:
        yield Served(url, path, sum(map(len, document["paths"].values())), tokens)
    callers.engine.dispose()


def _as_served(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every path as it is served: what organizations have under `/t/default` too."""
    below = {
        f"/t/default{path}": item
        for path, item in document["paths"].items()
        if not any("servers" in operation for operation in item.values())
    }
    paths = deepcopy(document["paths"] | below)
    for item in paths.values():
        for operation in item.values():
            operation.pop("servers", None)
            operation.pop("operationId", None)
    return {**document, "paths": paths, "servers": []}


@contextmanager
def _listening(app: ASGIApp) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def main(arguments: Sequence[str]) -> int:
    """Fuzz as each caller in turn; 1 where something was found."""
    seconds = arguments[0] if arguments else "200"
    is_clean = True
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as running:
        for caller in CALLERS:
            outcome = running.fuzz(caller, "--max-time", seconds)
            is_clean = is_clean and outcome.is_clean
            sent = sum(running.app.statuses.values())
            print(f"as {caller}: {sent} requests, {outcome.tested} of {running.operations} operations")
            print(f"  answers: {dict(sorted(running.app.statuses.items()))}")
            print("" if outcome.is_clean else outcome.text)
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
