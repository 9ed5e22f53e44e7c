"""What every part of the story works with: steps, their outcomes, and the tokens kept in files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2

from ostiary.cli.demo.calls import Answer, Call
from ostiary.cli.demo.scratch import Scratch


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step expected, what it saw, and whether that is the same."""

    holds: bool
    expected: str
    seen: str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that must be true, how to see it, and a check that looks."""

    number: str
    title: str
    shown: tuple[str, ...]
    """Lines for a shell."""
    check: Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class Desk:
    """Keeps each token a step gets in a file that later lines read."""

    scratch: Scratch
    http: httpx2.Client

    def basic(self, client: str, secret: str) -> str:
        """Client credentials by the name of the secret."""
        return f"{client}:{self.scratch.secrets[secret]}"

    def file(self, name: str) -> Path:
        """Where the token of that name is."""
        return self.scratch.place.directory / f"{name}.token"

    def keep_token(self, call: Call, name: str) -> Outcome:
        """Perform a token request and keep what it gets."""
        answer = call.perform(self.http)
        token = answer.body.get("access_token")
        if answer.status == 200 and isinstance(token, str):
            self.file(name).write_text(token)
        lifetime, scope = answer.body.get("expires_in"), answer.body.get("scope")
        seen = f"200, a token for {lifetime} s with scope {scope}" if token else str(answer)
        return Outcome(bool(token), "200 and a token", seen)


def refused(answer: Answer, status: int, code: str) -> Outcome:
    """Whether an answer is this refusal."""
    return Outcome((answer.status, answer.error) == (status, code), f"{status} {code}", str(answer))
