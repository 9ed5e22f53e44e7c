"""The permission matrix: what the reviewed file says, and what the guard decides by a route's declaration.

Nothing here asks `permissions.tree` or `Access` what covers what: who must pass is worked out from the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from starlette.requests import Request

from ostiary.foundation.problem import Problem
from ostiary.organizations import Organization
from ostiary.permissions import (
    BINDINGS,
    LOCAL_ADMINISTRATOR,
    LOGIN,
    NODES,
    Access,
    Guard,
    Principal,
    PrincipalKind,
)

FILE = Path(__file__).with_name("matrix.yaml")
BELOW = "/t/{organization}"
HERE, ELSEWHERE = Organization("1", "acme", "Acme"), Organization("2", "other", "Other")
SCOPES = frozenset(BINDINGS) | {LOGIN}
WHOLE_TREE = frozenset({"/permission/admin", "/permission/protected"})
AUDIENCES = frozenset({"anybody", "user", "node", "new-node"})
PASSES = 200
NODE = Principal(PrincipalKind.NODE, "node-1")


@dataclass(frozen=True, slots=True)
class Row:
    """One operation; `audience` is empty where permissions say whom it is for."""

    method: str
    path: str
    audience: str
    permissions: frozenset[str]
    scopes: frozenset[str]

    @property
    def is_guarded(self) -> bool:
        """Whether credentials are asked for."""
        return self.audience != "anybody"

    def passes(self, caller: Principal | None) -> int:
        """The status that a caller of the organization must get from the guard."""
        if self.audience == "anybody":
            return PASSES
        if caller is None or self.audience == "new-node":
            return 401
        is_node = caller.kind is PrincipalKind.NODE
        if is_node or self.audience == "node":
            return PASSES if is_node and self.audience == "node" else 403
        if self.audience == "user" and caller.kind is not PrincipalKind.USER:
            return 403
        has_scopes = caller.scopes is None or self.scopes <= caller.scopes
        return PASSES if has_scopes and _cover(caller.permissions, self.permissions) else 403


def _cover(held: frozenset[str], wanted: frozenset[str]) -> bool:
    return all(any(f"{one}/".startswith(f"{node}/") for node in held) for one in wanted)


def rows() -> list[Row]:
    """Every row, once for each path it stands for."""
    parts = yaml.safe_load(FILE.read_text())
    everywhere = [_row(text) for text in parts["of each organization"]]
    below = [replace(row, path=BELOW + row.path) for row in everywhere]
    return [*everywhere, *below, *(_row(text) for text in parts["of the installation"])]


def _row(text: str) -> Row:
    method, path, takes, *scopes = text.split()
    scopes_of_row = frozenset(scopes[0].split("+")) if scopes else frozenset[str]()
    if takes in AUDIENCES:
        return Row(method, path, takes, frozenset(), scopes_of_row)
    permissions = frozenset(f"/permission/{one}" for one in takes.split("+"))
    return Row(method, path, "", permissions, scopes_of_row)


def a_user(permissions: frozenset[str], scopes: frozenset[str] | None) -> Principal:
    """A user with these permissions and a token with these scopes."""
    return Principal(PrincipalKind.USER, "bob", HERE.id, "s", "c", permissions, scopes)


def callers(row: Row) -> Iterator[tuple[str, Principal | None]]:
    """Everybody who matters to an operation, with a name for the report."""
    nothing = frozenset[str]()
    exact = a_user(row.permissions, row.scopes)
    client = {"kind": PrincipalKind.CLIENT, "subject_id": None}
    yield "nobody", None
    yield "a user without a role", a_user(nothing, frozenset({LOGIN}))
    yield "a user without a role by password", a_user(nothing, None)
    yield "exactly what it takes", exact
    yield "exactly what it takes by password", replace(exact, scopes=None)
    yield "every other scope", replace(exact, scopes=SCOPES - row.scopes)
    yield "no scope", replace(exact, scopes=nothing)
    yield "a permission taken away since", replace(exact, permissions=nothing)
    yield "an administrator", a_user(WHOLE_TREE, SCOPES)
    yield "an administrator by password", a_user(WHOLE_TREE, None)
    yield "a client with a role", replace(exact, **client)
    yield "a client without a role", replace(exact, **client, permissions=nothing)
    yield "a client with everything", replace(a_user(WHOLE_TREE, SCOPES), **client)
    yield "the local administrator", LOCAL_ADMINISTRATOR
    yield "a gateway node", NODE
    for node in sorted(NODES):
        yield f"{node} alone", a_user(frozenset({node}), SCOPES)
    for one in sorted(row.permissions):
        yield f"all but {one}", replace(exact, permissions=row.permissions - {one})
    for one in sorted(row.scopes):
        yield f"all but {one}", replace(exact, scopes=row.scopes - {one})


async def complaints(row: Row, access: Access) -> list[str]:
    """What the guard decides by a declaration and the row says otherwise; who, and which statuses."""
    found = []
    for name, caller in callers(row):
        status, wanted = await _status(row, access, caller), row.passes(caller)
        if status != wanted:
            found.append(f"{row.method} {row.path}: {name} gets {status}, the matrix says {wanted}")
    if row.is_guarded and row.audience not in ("node", "new-node"):
        stranger = replace(a_user(WHOLE_TREE, SCOPES), organization_id=ELSEWHERE.id)
        if await _status(row, access, stranger) != 403:
            found.append(f"{row.method} {row.path}: another organization's administrator passes")
    return found


async def _status(row: Row, access: Access, caller: Principal | None) -> int:
    async def identify(_request: Request, _organization: Organization) -> Principal | None:
        return caller

    async def find(_name: str) -> Organization | None:
        return HERE

    scope = {"type": "http", "method": row.method, "path": row.path, "headers": [], "path_params": {}}
    try:
        await Guard(identify, find).admit(Request(scope), access)
    except Problem as problem:
        return problem.status
    return PASSES
