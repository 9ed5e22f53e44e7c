"""The second story: internal REST APIs that are guarded by the scopes a user's permissions allow."""

from collections.abc import Iterator

import httpx2

from ostiary.cli.demo.calls import Answer, Call
from ostiary.cli.demo.desk import Desk, Outcome, Step
from ostiary.cli.demo.scratch import Scratch

VIEW = "internal_identity_mgt_view"
LOGIN = "internal_login"


class AdministrationStory:
    """bob has a role with the permission to view, alex has none; both ask for the scope."""

    def __init__(self, scratch: Scratch, http: httpx2.Client) -> None:
        self._scratch = scratch
        self._http = http
        self._desk = Desk(scratch, http)
        self._here = f"{scratch.ready['management']}/t/my_company"
        self._bob = "{user-id}"

    def steps(self) -> Iterator[Step]:
        """All of it, in order."""
        yield self._with_the_role()
        yield self._user_id()
        yield self._challenges()
        yield self._without_the_role()
        yield self._another_scope()
        yield self._system()

    def _with_the_role(self) -> Step:
        call = self._token("bob", VIEW)
        title = f"bob's role has the permission, so his token gets the scope {VIEW}"
        return Step("6", title, (call.curl(),), lambda: self._granted(call, "bob", {VIEW}))

    def _user_id(self) -> Step:
        basic = self._desk.basic("console", "CONSOLE_SECRET")
        url = f"{self._here}/oauth2/introspect"
        shown = Call(url, "POST", f"token=$(cat {self._desk.file('bob')})", basic=basic)

        def check() -> Outcome:
            token = self._desk.file("bob").read_text() if self._desk.file("bob").exists() else ""
            answer = Call(url, "POST", f"token={token}", basic=basic).perform(self._http)
            self._bob = str(answer.body.get("sub", self._bob))
            return Outcome("sub" in answer.body, "bob's id as sub", f"bob's id is {self._bob}")

        return Step(
            "6", "bob's id is the sub of his token, as introspection tells it", (shown.curl(),), check
        )

    def _challenges(self) -> Step:
        call = self._view(self._bob, "bob")

        def check() -> Outcome:
            answer = call.perform(self._http)
            sets = answer.items
            seen = f"{answer.status}, {len(sets)} sets of questions" if sets else str(answer)
            return Outcome(answer.status == 200 and bool(sets), "200 and sets of questions", seen)

        title = "With it he views the challenge questions of a user"
        return Step("6", title, (call.curl(),), check)

    def _without_the_role(self) -> Step:
        token = self._token("alex", VIEW)
        call = self._view(self._bob, "alex")

        def check() -> Outcome:
            kept = self._granted(token, "alex", {"default"})
            if not kept.holds:
                return kept
            answer = call.perform(self._http)
            named = VIEW in _challenge(answer)
            expected = f"the scope is dropped; 403, and WWW-Authenticate names {VIEW}"
            seen = f"the scope is dropped; {answer.status}, and WWW-Authenticate "
            seen += f"names {VIEW}" if named else f"says {_challenge(answer) or 'nothing'}"
            return Outcome(answer.status == 403 and named, expected, seen)

        title = "alex has no such role: the same request drops the scope, and the call is refused"
        return Step("6", title, (token.curl(), call.curl()), check)

    def _another_scope(self) -> Step:
        call = self._token("alex", "somescope")
        title = "A scope that everyone may have is no way around"
        return Step("6", title, (call.curl(),), lambda: self._granted(call, "alex", {"somescope"}))

    def _system(self) -> Step:
        call = self._token("bob", "SYSTEM")
        title = "scope=SYSTEM: every internal scope that bob's permissions allow, listed"
        return Step("6", title, (call.curl(),), lambda: self._granted(call, "bob", {VIEW, LOGIN}))

    def _token(self, user: str, scope: str) -> Call:
        password = self._scratch.secrets[f"{user.upper()}_PASSWORD"]
        form = f"grant_type=password&username={user}&password={password}&scope={scope}"
        basic = self._desk.basic("console", "CONSOLE_SECRET")
        return Call(f"{self._here}/oauth2/token", "POST", form, basic=basic)

    def _view(self, user_id: str, name: str) -> Call:
        return Call(f"{self._here}/api/users/v1/{user_id}/challenges", bearer=self._desk.file(name))

    def _granted(self, call: Call, name: str, scopes: set[str]) -> Outcome:
        answer = call.perform(self._http)
        token, scope = answer.body.get("access_token"), str(answer.body.get("scope", ""))
        if answer.status == 200 and isinstance(token, str):
            self._desk.file(name).write_text(token)
        holds = answer.status == 200 and set(scope.split()) == scopes
        seen = f"200, the scope is {scope}" if token else str(answer)
        return Outcome(holds, f"200, the scope is {' '.join(sorted(scopes))}", seen)


def _challenge(answer: Answer) -> str:
    return next((v for k, v in answer.headers.items() if k.lower() == "www-authenticate"), "")
