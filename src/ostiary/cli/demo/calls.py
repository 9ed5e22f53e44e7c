"""A request that is both performed and printed: what a person reads is what was sent."""

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

_WIDTH = 92


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. A `bearer` is a file that holds the token, so that a pasted line stays short."""

    url: str
    method: str = "GET"
    form: str | None = None
    json: str | None = None
    basic: str | None = None
    """`client id:secret`."""
    bearer: Path | None = None
    accept: str | None = None

    def curl(self) -> str:
        """The same request for a shell, over several lines where it is long."""
        words = ["curl -k"]
        if self.method != ("GET" if self.form is None and self.json is None else "POST"):
            words.append(f"-X {self.method}")
        if self.form is not None:
            words.append(f'-d "{self.form}"')
        if self.json is not None:
            words += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(self.json)}"]
        if self.accept is not None:
            words.append(f"-H 'Accept: {self.accept}'")
        if self.basic is not None:
            words.append(f'-H "Authorization: Basic {_base64(self.basic)}"')
        if self.bearer is not None:
            words.append(f'-H "Authorization: Bearer $(cat {shlex.quote(str(self.bearer))})"')
        return _lines([*words, self.url])

    def perform(self, http: httpx2.Client) -> "Answer":
        """Send it."""
        if self.bearer is not None and not self.bearer.exists():
            return Answer(0, error="there is no token: an earlier step did not get one")
        headers = {}
        if self.accept is not None:
            headers["Accept"] = self.accept
        if self.basic is not None:
            headers["Authorization"] = f"Basic {_base64(self.basic)}"
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer.read_text()}"
        content = self.form if self.form is not None else self.json
        if content is not None:
            kind = "application/json" if self.form is None else "application/x-www-form-urlencoded"
            headers["Content-Type"] = kind
        try:
            response = http.request(self.method, self.url, headers=headers, content=content)
        except httpx2.HTTPError as error:
            return Answer(0, error=f"no answer: {error}")
        return Answer.of(response)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, as far as the story looks at it. Status 0: nothing came back."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    items: Sequence[Any] = ()
    """The body, where it is a list."""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    """The OAuth error or the gateway's code."""

    @classmethod
    def of(cls, response: httpx2.Response) -> "Answer":
        """Read a response; a body that is neither a JSON object nor a list counts as empty."""
        try:
            said = response.json()
        except ValueError:
            said = {}
        items = said if isinstance(said, list) else ()
        body = said if isinstance(said, dict) else {}
        error = str(body.get("error") or body.get("code") or "")
        return cls(response.status_code, body, items, dict(response.headers), error)

    def __str__(self) -> str:
        return f"{self.status or ''} {self.error}".strip()


def _lines(words: list[str]) -> str:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}")
    return " \\\n".join(lines)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
