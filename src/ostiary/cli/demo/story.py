"""The main job, step by step: what is done, what has to come of it.

A step performs its calls and tells what it expected and what it saw; it knows nothing of how that looks.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2

from ostiary.cli.demo.administration import AdministrationStory
from ostiary.cli.demo.calls import Answer, Call
from ostiary.cli.demo.desk import Desk, Outcome, Step, refused
from ostiary.cli.demo.scratch import Scratch

PROPAGATION_SECONDS = 1.0
"""A change takes effect at the gateway within this time."""
TINY_REQUESTS = 5
PERSON = "EXTERNAL/testuser@my_company"


class Story:
    """Design of the steps; each token a step gets is kept in a file that later lines read."""

    def __init__(self, scratch: Scratch, http: httpx2.Client) -> None:
        self._scratch = scratch
        self._http = http
        self._desk = Desk(scratch, http)
        self._gateway = scratch.ready["gateway"]
        self._orders = f"{self._gateway}/t/my_company/orders/1.0.0"

    def steps(self) -> Iterator[Step]:
        """All of it, in order."""
        yield self._organization()
        yield self._token()
        yield self._call()
        yield self._order_with_scope()
        yield self._wrong_password()
        yield self._no_subscription()
        yield self._no_scope()
        yield self._plan_exceeded()
        yield self._revoked()
        yield from AdministrationStory(self._scratch, self._http).steps()

    def _organization(self) -> Step:
        place = self._scratch.place
        command = f"{_ostiary()} apply --data-dir {place.data.path} -f {place.organization_file}"

        def check() -> Outcome:
            done = self._scratch.apply()
            said = (done.stderr or done.stdout).strip().splitlines() or [""]
            seen = "applied" if done.returncode == 0 else said[-1].removeprefix("ostiary: ")
            return Outcome(done.returncode == 0, "applied", seen)

        title = "my_company connects its login service, publishes Orders 1.0.0 and subscribes an application"
        return Step("1-2", title, (f". {place.secrets_file}", command), check)

    def _token(self) -> Step:
        call = self._password_grant(self._scratch.testuser_password)
        title = "The application gets a token for a user whom only the login service knows"
        return Step("3", title, (call.curl(),), lambda: self._desk.keep_token(call, "testuser"))

    def _call(self) -> Step:
        call = Call(f"{self._orders}/", bearer=self._desk.file("testuser"), accept="application/json")

        def check() -> Outcome:
            answer = self._once_published(call)
            expected = f"200, the backend verified a signed {PERSON} and saw no Authorization"
            if answer.status != 200:
                return Outcome(False, expected, str(answer))
            person = answer.body.get("enduser")
            leaked = "authorization" in answer.body.get("headers", {})
            saw = "saw the Authorization" if leaked else "saw no Authorization"
            seen = f"200, the backend verified a signed {person} and {saw}"
            return Outcome(person == PERSON and not leaked, expected, seen)

        return Step("4", "It calls the API; the backend learns who is calling, signed", (call.curl(),), check)

    def _order_with_scope(self) -> Step:
        token = self._password_grant(self._scratch.testuser_password, scope="orders:write")
        call = Call(
            f"{self._orders}/",
            "POST",
            json='{"item": "lamp"}',
            bearer=self._desk.file("testuser-orders-write"),
        )

        def check() -> Outcome:
            kept = self._desk.keep_token(token, "testuser-orders-write")
            answer = call.perform(self._http) if kept.holds else Answer(0, error=kept.seen)
            return Outcome(answer.status == 201, "201", str(answer))

        title = "A role names the outside user, so the same person may ask for the scope orders:write"
        return Step("4", title, (token.curl(), call.curl()), check)

    def _wrong_password(self) -> Step:
        call = self._password_grant("not-the-password")
        title = "A wrong password is refused"
        return Step(
            "5", title, (call.curl(),), lambda: refused(call.perform(self._http), 400, "invalid_grant")
        )

    def _no_subscription(self) -> Step:
        token = self._client_credentials("newcomer", "NEWCOMER_SECRET")
        call = Call(f"{self._orders}/", bearer=self._desk.file("newcomer"))
        title = "An application that has not subscribed is refused"
        return Step(
            "5", title, (token.curl(), call.curl()), lambda: self._refusal(token, call, 403, "900908")
        )

    def _no_scope(self) -> Step:
        call = Call(f"{self._orders}/", "POST", json='{"item": "lamp"}', bearer=self._desk.file("testuser"))
        title = "A token without the scope of the resource is refused"
        return Step("5", title, (call.curl(),), lambda: refused(call.perform(self._http), 403, "900910"))

    def _plan_exceeded(self) -> Step:
        token = self._client_credentials("sampler", "SAMPLER_SECRET")
        call = Call(f"{self._orders}/", bearer=self._desk.file("sampler"))

        def check() -> Outcome:
            kept = self._desk.keep_token(token, "sampler")
            if not kept.holds:
                return kept
            answers = [call.perform(self._http)]
            while answers[-1].status == 200 and len(answers) < 2 * TINY_REQUESTS + 2:
                answers.append(call.perform(self._http))
            last = answers[-1]
            told = refused(last, 429, "900804")
            wait = next((v for k, v in last.headers.items() if k.lower() == "retry-after"), None)
            seen = f"{told.seen} after {len(answers) - 1} calls, Retry-After: {wait}"
            holds = told.holds and wait is not None and len(answers) > TINY_REQUESTS
            return Outcome(holds, f"{told.expected} after {TINY_REQUESTS} calls, with Retry-After", seen)

        loop = f"for call in 1 2 3 4 5 6; do\n  {call.curl()}; echo\ndone"
        title = f"The plan Tiny allows {TINY_REQUESTS} calls a minute; the next one is refused"
        return Step("5", title, (token.curl(), loop), check)

    def _revoked(self) -> Step:
        token = self._password_grant(self._scratch.testuser_password)
        call = Call(f"{self._orders}/", bearer=self._desk.file("revoked"))
        form = f"token=$(cat {self._desk.file('revoked')})"
        revoke = Call(
            f"{self._gateway}/revoke", "POST", form, basic=self._desk.basic("mobile", "MOBILE_SECRET")
        )

        def check() -> Outcome:
            kept = self._desk.keep_token(token, "revoked")
            if not kept.holds:
                return kept
            before = call.perform(self._http)
            answered = replace(revoke, form=f"token={self._desk.file('revoked').read_text()}").perform(
                self._http
            )
            started = time.monotonic()
            answer = call.perform(self._http)
            while answer.status == 200 and time.monotonic() - started < PROPAGATION_SECONDS:
                time.sleep(0.01)
                answer = call.perform(self._http)
            took = time.monotonic() - started
            told = refused(answer, 401, "900901")
            served = before.status == answered.status == 200
            holds = told.holds and served and took <= PROPAGATION_SECONDS
            expected = f"{told.expected} within a second of the revocation"
            return Outcome(holds, expected, f"{told.seen} {took * 1000:.0f} ms after the revocation")

        title = "A token that is revoked between two calls is refused at the second"
        return Step("5", title, (token.curl(), revoke.curl(), call.curl()), check)

    def _password_grant(self, password: str, scope: str | None = None) -> Call:
        form = f"grant_type=password&username=testuser@my_company&password={password}"
        form += "" if scope is None else f"&scope={scope}"
        return Call(f"{self._gateway}/token", "POST", form, basic=self._desk.basic("mobile", "MOBILE_SECRET"))

    def _client_credentials(self, client: str, secret: str) -> Call:
        form = "grant_type=client_credentials"
        return Call(f"{self._gateway}/token", "POST", form, basic=self._desk.basic(client, secret))

    def _refusal(self, token: Call, call: Call, status: int, code: str) -> Outcome:
        kept = self._desk.keep_token(token, self._name_of(call))
        return refused(call.perform(self._http), status, code) if kept.holds else kept

    def _name_of(self, call: Call) -> str:
        assert call.bearer is not None  # noqa: S101 # every gateway call of the story has one
        return call.bearer.stem

    def _once_published(self, call: Call) -> Answer:
        """A publication reaches the gateway within a second, like every change."""
        deadline = time.monotonic() + PROPAGATION_SECONDS
        answer = call.perform(self._http)
        while answer.status in (0, 404, 503) and time.monotonic() < deadline:
            time.sleep(0.02)
            answer = call.perform(self._http)
        return answer


def _ostiary() -> str:
    """The command as it can be typed in this shell."""
    beside = Path(sys.executable).with_name("ostiary")
    return "ostiary" if shutil.which("ostiary") or not beside.exists() else str(beside)
