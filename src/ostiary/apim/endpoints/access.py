"""What the internal REST API of API management takes: one row a noun and verb."""

from ostiary.permissions import Access, needs

_ROOT = "/permission/admin/manage/api"


def _row(noun: str, verb: str) -> Access:
    path = f"{_ROOT}/{noun}/{verb}" if noun else f"{_ROOT}/{verb}"
    return needs(path, "_".join(["internal_api", *([noun] if noun else []), verb]))


API = {verb: _row("", verb) for verb in ("view", "create", "update", "delete", "publish")}
PLAN = {verb: _row("plan", verb) for verb in ("view", "create", "update", "delete")}
APPLICATION = {verb: _row("application", verb) for verb in ("view", "create", "update", "delete")}
DENY = {verb: _row("deny", verb) for verb in ("view", "create", "update", "delete")}
SUBSCRIPTION = {verb: _row("subscription", verb) for verb in ("view", "create", "update", "delete")}
USAGE = {"view": _row("usage", "view")}
