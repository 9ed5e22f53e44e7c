"""Organizations: tenants, their names and their epochs.

Every row of every slice belongs to one, and every query names it (ADR 0006).
"""

from ostiary.organizations.finding import recall
from ostiary.organizations.model import (
    CHALLENGE_QUESTIONS,
    DEFAULT_ORGANIZATION,
    ChainPolicy,
    Feature,
    InvalidOrganizationName,
    Organization,
    OrganizationGone,
    issuer_of,
    parse_name,
)
from ostiary.organizations.removing import (
    DefaultStays,
    Removal,
    forget_logs_of_removed,
    remove,
)
from ostiary.organizations.repository import (
    EpochKind,
    add,
    all_organizations,
    by_id,
    check_is_there,
    count,
    current_epoch,
    find,
    fold_minimums,
    following,
    is_taken,
    latest_minimum,
    minimums,
    minimums_after,
    narrow,
    page,
    put,
)

__all__ = [
    "CHALLENGE_QUESTIONS",
    "DEFAULT_ORGANIZATION",
    "ChainPolicy",
    "DefaultStays",
    "EpochKind",
    "Feature",
    "InvalidOrganizationName",
    "Organization",
    "OrganizationGone",
    "Removal",
    "add",
    "all_organizations",
    "by_id",
    "check_is_there",
    "count",
    "current_epoch",
    "find",
    "fold_minimums",
    "following",
    "forget_logs_of_removed",
    "is_taken",
    "issuer_of",
    "latest_minimum",
    "minimums",
    "minimums_after",
    "narrow",
    "page",
    "parse_name",
    "put",
    "recall",
    "remove",
]
