"""Organizations: tenants, their names and their epochs.

Every row of every slice belongs to one, and every query names it (ADR 0006).
"""

from ostiary.organizations.model import (
    CHALLENGE_QUESTIONS,
    DEFAULT_ORGANIZATION,
    ChainPolicy,
    Feature,
    InvalidOrganizationName,
    Organization,
    issuer_of,
    parse_name,
)
from ostiary.organizations.repository import (
    EpochKind,
    add,
    all_organizations,
    by_id,
    count,
    current_epoch,
    find,
    fold_minimums,
    following,
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
    "EpochKind",
    "Feature",
    "InvalidOrganizationName",
    "Organization",
    "add",
    "all_organizations",
    "by_id",
    "count",
    "current_epoch",
    "find",
    "fold_minimums",
    "following",
    "issuer_of",
    "latest_minimum",
    "minimums",
    "minimums_after",
    "narrow",
    "page",
    "parse_name",
    "put",
]
