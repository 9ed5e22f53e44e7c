"""Why a call was refused, check by check: made after the refusal, so that a grant costs nothing for it.

`authorize.py` decides. Here its own checks are walked again, on the same plan and claims, for what each
compared; the walk ends at the check that refused. Where it cannot find that one, the refusal's own reason
is the last step, so that what is shown as failed is always what failed. No credential is ever in a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ostiary.gateway.node import authorize
from ostiary.gateway.node.authorize import Refused
from ostiary.gateway.node.tokens import Claims
from ostiary.gateway.plan import API, GatewayPlan, Organization

_LONGEST: Final = 300
_MOST_SCOPES: Final = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One check of a call."""

    check: str
    """What has to hold."""
    compared: str
    """What was compared; may be empty."""
    failed: str | None = None
    """Why it does not hold."""

    def as_wire(self) -> dict[str, str]:
        """Write it as the control plane stores it."""
        step = {"check": self.check, "compared": self.compared[:_LONGEST], "outcome": "passed"}
        return step if self.failed is None else step | {"outcome": "failed", "reason": self.failed[:_LONGEST]}


class _Case(NamedTuple):
    plan: GatewayPlan
    api: API
    organization: Organization
    claims: Claims
    now: float


def credential_steps(
    plan: GatewayPlan, api_id: str, claims: Claims | None, now: float, refused: Refused
) -> list[Step]:
    """Return what the agent checked about a credential, up to what refused it."""
    steps = [] if claims is None else [_readable(claims)]
    api = plan.apis.get(api_id)
    organization = None if api is None else plan.organizations.get(api.organization_id)
    if claims is None or api is None or organization is None:
        return [*steps, _last(refused, "the token can be checked")]
    case = _Case(plan, api, organization, claims, now)
    for check, compare, holds in _CHECKS:
        reason = _reason(holds, case)
        compared = compare(case)
        if reason == refused.reason:
            return [*steps, Step(check, compared, reason)]
        if reason is not None:
            break  # the plan has changed since, or the check is not told apart here
        steps.append(Step(check, compared))
    return [*steps, _last(refused, "every other condition")]


def _last(refused: Refused, check: str) -> Step:
    return Step(check, "", refused.reason)


def _readable(claims: Claims) -> Step:
    how = "known to the control plane" if claims.kid is None else f"signed by key {claims.kid}"
    return Step("the token is well-formed and ours", f"{how}; issued to client {claims.client_id}")


def _reason(holds: Callable[[_Case], object], case: _Case) -> str | None:
    try:
        holds(case)
    except Refused as refused:
        return refused.reason
    return None


def _token_check(name: str) -> Callable[[_Case], None]:
    def holds(case: _Case) -> None:
        for reason, check in authorize.TOKEN_CHECKS:
            if reason == name and not check(case.organization, case.claims, case.now):
                raise Refused(authorize.INVALID_TOKEN, reason)

    return holds


def _concerned(case: _Case) -> list[tuple[str, str]]:
    claims = case.claims
    first = [
        ("organization", case.organization.id),
        ("client", claims.client_id),
        ("subject", claims.subject),
    ]
    return [*first, *(("scope", scope) for scope in claims.scopes)]


def _epochs(case: _Case) -> None:
    authorize.check_epochs(case.plan, case.organization, case.claims, _concerned(case))


def _minimums(case: _Case) -> str:
    minimum = case.plan.minimum
    known = [
        f"{kind} {minimum(case.organization.id, kind, key)}"
        for kind, key in _concerned(case)[: 3 + _MOST_SCOPES]
        if minimum(case.organization.id, kind, key)
    ]
    return f"the token's epoch is {case.claims.epoch}; minimums: {', '.join(known) or 'none'}"


def _application(case: _Case) -> str:
    client = case.plan.clients.get(case.claims.client_id)
    id = None if client is None else client.application_id
    application = None if id is None else case.plan.applications.get(id)
    named = "no application" if application is None else f"the application {application.name}"
    return f"client {case.claims.client_id} belongs to {named}"


def _application_holds(case: _Case) -> None:
    _, application = authorize._application(case.plan, case.organization, case.claims)
    authorize.check_epochs(case.plan, case.organization, case.claims, [("application", application.id)])


def _subscription(case: _Case) -> str:
    client = case.plan.clients.get(case.claims.client_id)
    id = None if client is None else client.application_id
    found = None if id is None else case.plan.subscription(id, case.api.id)
    what = f"{case.api.name} {case.api.version}"
    return f"{what}: no subscription" if found is None else f"{what}: the subscription is {found.state}"


def _subscription_holds(case: _Case) -> None:
    client, application = authorize._application(case.plan, case.organization, case.claims)
    authorize._subscription(case.plan, case.api, client, application)


_CHECKS: Final[Sequence[tuple[str, Callable[[_Case], str], Callable[[_Case], object]]]] = (
    # in the order of `authorize`
    (
        "the token is of the API's issuer",
        lambda case: f"the token says {case.claims.issuer}; the API's is {case.organization.issuer}",
        _token_check("issuer"),
    ),
    (
        "the token is of the API's organization",
        lambda case: f"the token says {case.claims.organization}; the API's is {case.organization.name}",
        _token_check("organization"),
    ),
    (
        "the token is for this gateway",
        lambda case: (
            f"the token is for {' '.join(sorted(case.claims.audience))}; here is {case.organization.audience}"
        ),
        _token_check("audience"),
    ),
    (
        "the token has not expired",
        lambda case: f"it ends at {case.claims.expires_at}; it is {int(case.now)} now (seconds since 1970)",
        _token_check("expired"),
    ),
    (
        "the token is valid already",
        lambda case: f"it begins at {case.claims.not_before or 'once'}; it is {int(case.now)} now",
        _token_check("not yet valid"),
    ),
    (
        "the token's key is the organization's",
        lambda case: f"key {case.claims.kid or 'none: the token is opaque'}",
        lambda case: authorize.check_key(case.plan, case.organization, case.claims),
    ),
    (
        "the token is not revoked",
        lambda case: f"token {case.claims.token_id}",
        lambda case: authorize.check_revocation(case.plan, case.claims),
    ),
    ("nothing the token rests on was taken away since", _minimums, _epochs),
    ("the client belongs to an application", _application, _application_holds),
    ("the application is subscribed to the API", _subscription, _subscription_holds),
)
