"""What does deciding one guarded request cost beyond verifying its token, with 10 to 10,000 roles?

Up to 1,000,000 assignments of users to roles, in SQLite. A request is decided in this process by the guard of
the product; from its processor time is taken that of judging the same token alone. *Remembered*: nobody has
committed since the last call of the same caller. *After a commit*: everything is read again.
"""

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from starlette.requests import Request

from benchmarks.measuring import keep, median, rounds, table
from ostiary.app import Settings, migrate
from ostiary.app.callers import Callers
from ostiary.foundation.clock import utc_now
from ostiary.foundation.database import Database, write_engine
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.foundation.identifiers import new_id
from ostiary.foundation.secrets import SecretBox, load_or_create_key
from ostiary.identity import Authentication, UserSpec, id_of_name, put_user
from ostiary.oauth import Keys, TokenClaims, TokenHolder, TokenSettings, judge_access_token
from ostiary.organizations import Organization, find, put
from ostiary.permissions import BINDINGS, NODES, Guard, needs

SIZES = {10: 1_000, 100: 10_000, 1_000: 100_000, 10_000: 1_000_000}
"""Roles → assignments."""
ROLES_OF_CALLER = 5
SCOPE = "internal_user_mgt_list"
ACCESS = needs(*BINDINGS[SCOPE], SCOPE)
Decide = Callable[[], Awaitable[object]]


class Seeded:
    """An organization with roles and assignments, one caller among them, and the caller's token."""

    def __init__(self, folder: Path, roles: int, assignments: int) -> None:
        self.settings = Settings(data_dir=folder)
        migrate(self.settings.database)
        self.file = folder / "ostiary.db"
        self.box = SecretBox(load_or_create_key(folder / "secret.key"))
        self.organization = Organization(new_id(), "default", "Default")
        self.token = self._caller()
        self._assign(roles, assignments)

    def _caller(self) -> str:
        engine, now = write_engine(self.settings.database), utc_now()
        keys = Keys(self.box, TokenSettings(), lambda _connection, _kid: True)
        with engine.begin() as connection:
            put(connection, self.organization)
            put_user(connection, UserSpec(self.organization.id, "bob", "$not-a-hash$"), utc_now)
            self.subject = id_of_name(connection, self.organization.id, "bob") or ""
            claims = TokenClaims(
                token_id=new_id(),
                organization=self.organization,
                client_id="console",
                holder=TokenHolder.APPLICATION_USER,
                subject=self.subject,
                scope=frozenset({SCOPE}),
                issued_at=now,
                expires_at=now + timedelta(hours=6),
                epoch=0,
            )
            key = keys.signing_key(connection, self.organization.id, now)
        engine.dispose()
        return keys.sign(key, claims.as_wire(self.settings.issuer_base))

    def _assign(self, roles: int, assignments: int) -> None:
        """Rows as the product writes them: everybody has five roles, pinned as after a first login."""
        nodes, here = sorted(NODES), self.organization.id
        ids = [new_id() for _ in range(roles)]
        people = max(1, assignments // ROLES_OF_CALLER)

        def given(number: int) -> str:
            own = [nodes[(number + step) % len(nodes)] for step in range(3)]
            return str([*own, *BINDINGS[SCOPE]]).replace("'", '"')

        def members() -> Any:
            for person in range(people):
                who = "bob" if person == 0 else f"user{person}"
                pinned = self.subject if person == 0 else new_id()
                for turn in range(ROLES_OF_CALLER):
                    role = ids[(person * ROLES_OF_CALLER + turn) % roles]
                    yield (new_id(), here, role, "user", "PRIMARY", who, pinned)

        with sqlite3.connect(self.file) as database:
            rows = ((id, here, f"role{n}", given(n)) for n, id in enumerate(ids))
            database.executemany(
                "INSERT INTO roles (id, organization_id, name, permissions) VALUES (?,?,?,?)", rows
            )
            columns = "id, organization_id, role_id, kind, store, name, subject_id"
            database.executemany(f"INSERT INTO role_members ({columns}) VALUES (?,?,?,?,?,?,?)", members())
        database.close()


class Deciding:
    """The guard as the product wires it, and the judgement of a token alone, on one database."""

    def __init__(self, seeded: Seeded) -> None:
        self.seeded, settings = seeded, seeded.settings
        self.database = Database.open(settings.database)
        authentication = Authentication(
            self.database, seeded.box, OutboundPolicy(), settings.identity, utc_now
        )
        callers = Callers(
            self.database, seeded.box, authentication, settings.issuer_base, utc_now, takes_passwords=False
        )
        self.guard = Guard(callers.identify, self._organization)
        self.other = sqlite3.connect(seeded.file, isolation_level=None)
        self.other.execute("CREATE TABLE IF NOT EXISTS benchmark (commits INTEGER)")

    async def _organization(self, name: str) -> Organization | None:
        return await self.database.recall(("organization", name), lambda connection: find(connection, name))

    async def decided(self) -> None:
        """Admit one request."""
        header = (b"authorization", b"Bearer " + self.seeded.token.encode())
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [header], "path_params": {}}
        await self.guard.admit(Request(scope), ACCESS)

    async def verified(self) -> None:
        """Judge its token, as `Callers` does."""
        seeded = self.seeded
        judged = await self.database.recall(
            ("access token", seeded.box.fingerprint(seeded.token, "callers:token")),
            lambda c: judge_access_token(c, seeded.box, seeded.token, seeded.settings.issuer_base),
        )
        assert judged is not None
        assert judged.is_good(utc_now())

    def commit(self) -> None:
        """Change something that has nothing to do with it, as another process would."""
        self.other.execute("INSERT INTO benchmark VALUES (1)")

    async def micros(self, decide: Decide, calls: int, *, commits: bool) -> float:
        """Processor time of one call, in µs. Each is in a turn of the loop of its own, as requests are."""
        await decide()
        used = 0.0
        for _ in range(calls):
            if commits:
                self.commit()
            await asyncio.sleep(0)
            before = time.process_time()
            await decide()
            used += time.process_time() - before
        return 1e6 * used / calls


def measure(seeded: Seeded, options: argparse.Namespace) -> dict[str, float]:
    """All four costs in rotating order, and what is left beyond the token."""
    with asyncio.Runner() as runner:
        deciding = Deciding(seeded)

        def one(decide: Decide, calls: int, commits: bool) -> Callable[[], float]:
            return lambda: runner.run(deciding.micros(decide, calls, commits=commits))

        found = rounds(
            {
                "token": one(deciding.verified, options.calls, False),
                "request": one(deciding.decided, options.calls, False),
                "token_after_commit": one(deciding.verified, options.calls // 20, True),
                "request_after_commit": one(deciding.decided, options.calls // 20, True),
            },
            options.rounds,
        )
        runner.run(deciding.database.close())
        deciding.other.close()
    cost = {name: median(taken) for name, taken in found.items()}
    cost["beyond_token"] = cost["request"] - cost["token"]
    cost["beyond_token_after_commit"] = cost["request_after_commit"] - cost["token_after_commit"]
    return cost


def main(arguments: list[str] | None = None) -> None:
    """Measure each size, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--roles", type=int, nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    figures: dict[str, Any] = {}
    for roles in options.roles:
        with tempfile.TemporaryDirectory(prefix="ostiary-bench-") as folder:
            cost = measure(Seeded(Path(folder), roles, SIZES[roles]), options)
        named = {f"{name}_micros": round(value, 1) for name, value in cost.items()}
        figures[str(roles)] = {"roles": roles, "assignments": SIZES[roles], **named}
        print(figures[str(roles)], flush=True)
    names = list(next(iter(figures.values())))
    print(table(("guard", *figures), [(name, *(one[name] for one in figures.values())) for name in names]))
    keep("guard", figures)


if __name__ == "__main__":
    main(sys.argv[1:])
