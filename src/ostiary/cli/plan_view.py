"""How a plan and complaints look on a terminal: calm, one line a thing, nothing wrapped."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.text import Text

from ostiary.declarative import Action, Change, Complaint, Detail, Kind, OrganizationPlan

_STYLES = {Action.ADD: "green", Action.CHANGE: "yellow", Action.REMOVE: "red"}
_COUNTS = (
    (Action.ADD, "to add", "added"),
    (Action.CHANGE, "to change", "changed"),
    (Action.REMOVE, "to remove", "removed"),
)
_SUMMARY: dict[Kind, tuple[str, ...]] = {
    Kind.USER_STORE: ("type", "url", "urls"),
    Kind.PLAN: ("requests", "per"),
    Kind.ROLE: ("permissions", "users", "groups", "clients"),
    Kind.SCOPE: ("roles", "everyone"),
    Kind.API: ("context", "state"),
    Kind.APPLICATION: ("owner",),
    Kind.CLIENT: ("application", "key_type", "user_stores"),
    Kind.SUBSCRIPTION: ("plan",),
    Kind.DENY_POLICY: ("enabled",),
}
"""What is said of a new thing beside its name."""


def render_plans(plans: Sequence[OrganizationPlan], *, dry_run: bool) -> list[Text]:
    """Every change grouped by organization, then what takes no effect yet, then the sum."""
    lines: list[Text] = []
    for plan in plans:
        if plan.changes:
            lines += [Text(plan.organization, "bold"), *_changes(plan.changes), Text("")]
    notices = list(dict.fromkeys(_notice(plan, plans, notice) for plan in plans for notice in plan.notices))
    if notices:
        lines += [*(Text(notice, "dim") for notice in notices), Text("")]
    return [*lines, _sum([change for plan in plans for change in plan.changes], dry_run=dry_run)]


def render_complaints(complaints: Iterable[Complaint]) -> list[Text]:
    """One line a mistake, its place first."""
    lines: list[Text] = []
    for complaint in complaints:
        place = Text(f"{complaint.place}: ", "bold") if complaint.place else Text("")
        where = f"{complaint.where}: " if complaint.where else ""
        lines.append(place + Text(where, "cyan") + Text(complaint.text))
    return lines


def _notice(plan: OrganizationPlan, plans: Sequence[OrganizationPlan], notice: str) -> str:
    return notice if len(plans) == 1 else f"{plan.organization}: {notice}"


def _changes(changes: Sequence[Change]) -> Iterator[Text]:
    kinds = max(len(change.kind) for change in changes)
    for change in changes:
        line = Text("  ") + Text(f"{change.action} ", _STYLES[change.action])
        line += Text(f"{change.kind:<{kinds}}  ", "dim") + Text(change.name)
        if change.action is Action.ADD:
            line += Text(_summary(change), "dim")
        yield line
        if change.action is Action.CHANGE:
            yield from _details(change.details)


def _summary(change: Change) -> str:
    found = {detail.attribute: detail.after for detail in change.details}
    values = [found.get(name) for name in _SUMMARY.get(change.kind, ())]
    if change.kind is Kind.PLAN:
        amount = "unlimited" if values[0] is None else f"{values[0]} requests"
        return f"  {amount} per {values[1]}" if values[0] is not None else f"  {amount}"
    if change.kind is Kind.SCOPE:
        values[1] = "everyone" if values[1] else None
    said = [_shown(value) for value in values if value not in (None, [], {}, False)]
    return "  " + " · ".join(said) if said else ""


def _details(details: Sequence[Detail]) -> Iterator[Text]:
    width = max(len(detail.attribute) for detail in details)
    for detail in details:
        yield Text(f"      {detail.attribute:<{width}}  ", "dim") + Text(_movement(detail))


def _movement(detail: Detail) -> str:
    before, after = detail.before, detail.after
    if isinstance(after, dict) or isinstance(before, dict):
        return ", ".join(_keys_movement(before or {}, after or {}))
    if isinstance(after, list) and isinstance(before, list):
        gone = [f"−{_shown(value)}" for value in before if value not in after]
        come = [f"+{_shown(value)}" for value in after if value not in before]
        return "  ".join(come + gone) or "in another order"
    if before is None and after in ("set", "cleared"):
        return str(after) if after == "set" else "cleared, because its address changed"
    return f"{_shown(before)} → {_shown(after)}"


def _keys_movement(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield f"{key}: {_shown(before.get(key))} → {_shown(after.get(key))}"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "—"
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(str, value)) or "—"
        case _:
            return str(value)


def _sum(changes: Sequence[Change], *, dry_run: bool) -> Text:
    if not changes:
        return Text("nothing to change", "bold")
    counts = [
        f"{count} {planned if dry_run else done}"
        for action, planned, done in _COUNTS
        if (count := sum(change.action is action for change in changes))
    ]
    return Text(", ".join(counts) + (" (dry run: nothing was changed)" if dry_run else ""), "bold")
