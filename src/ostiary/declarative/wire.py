"""Files, plans and complaints as JSON between the command line and the server."""

from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import TypedDict

from ostiary.declarative.apply import OrganizationPlan
from ostiary.declarative.complaints import Complaint
from ostiary.declarative.export import Export
from ostiary.declarative.plan import Action, Change, Detail, Kind
from ostiary.declarative.schema import OrganizationFile


class DetailDocument(TypedDict):
    """One attribute that changes; never a secret."""

    attribute: str
    before: Any
    after: Any


class ChangeDocument(TypedDict):
    """One thing that changes."""

    action: Action
    kind: Kind
    name: str
    details: list[DetailDocument]


class OrganizationPlanDocument(TypedDict):
    """What changes in an organization, and what whoever applies should know."""

    organization: str
    changes: list[ChangeDocument]
    notices: list[str]


class ComplaintDocument(TypedDict):
    """One thing that is wrong with a file: where, what was found and what was expected."""

    path: list[str | int]
    found: str
    expected: str
    hint: str


class ExportDocument(TypedDict):
    """An organization as a file, where secrets are to be put in, and what a file cannot say."""

    document: dict[str, Any]
    secrets: list[list[str | int]]
    left_out: list[str]


def to_wire(file: OrganizationFile) -> dict[str, Any]:
    """The file with its secrets in the clear: for the request to the server and nothing else."""
    return file.model_dump(mode="json", exclude_unset=True, context={"reveal": True})


def plans_to_wire(plans: Iterable[OrganizationPlan]) -> list[OrganizationPlanDocument]:
    """Plans as the answer shows them."""
    return [
        {
            "organization": plan.organization,
            "changes": [_change_to_wire(change) for change in plan.changes],
            "notices": list(plan.notices),
        }
        for plan in plans
    ]


def plans_from_wire(plans: Iterable[Mapping[str, Any]]) -> list[OrganizationPlan]:
    """Plans out of an answer."""
    return [
        OrganizationPlan(
            plan["organization"],
            tuple(_change_from_wire(change) for change in plan["changes"]),
            tuple(plan["notices"]),
        )
        for plan in plans
    ]


def complaints_to_wire(complaints: Iterable[Complaint]) -> list[ComplaintDocument]:
    """Complaints as the answer shows them."""
    return [
        {
            "path": list(complaint.path),
            "found": complaint.found,
            "expected": complaint.expected,
            "hint": complaint.hint,
        }
        for complaint in complaints
    ]


def complaints_from_wire(complaints: Iterable[Mapping[str, Any]]) -> list[Complaint]:
    """Complaints out of an answer."""
    return [Complaint(tuple(c["path"]), c["found"], c["expected"], c["hint"]) for c in complaints]


def export_to_wire(exported: Export) -> ExportDocument:
    """An export as the answer shows it."""
    return {
        "document": exported.document,
        "secrets": [list(path) for path in exported.secrets],
        "left_out": list(exported.left_out),
    }


def export_from_wire(answer: Mapping[str, Any]) -> Export:
    """An export out of an answer."""
    return Export(answer["document"], tuple(map(tuple, answer["secrets"])), tuple(answer["left_out"]))


def _change_to_wire(change: Change) -> ChangeDocument:
    details: list[DetailDocument] = [
        {"attribute": d.attribute, "before": d.before, "after": d.after} for d in change.details
    ]
    return {"action": change.action, "kind": change.kind, "name": change.name, "details": details}


def _change_from_wire(change: Mapping[str, Any]) -> Change:
    details = tuple(Detail(d["attribute"], d["before"], d["after"]) for d in change["details"])
    return Change(Action(change["action"]), Kind(change["kind"]), change["name"], details)
