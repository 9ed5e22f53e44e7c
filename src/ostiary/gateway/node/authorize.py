"""May this token call this API? Pure: a plan, claims and a time in, a grant or a refusal out.

Only misses come here; scopes of a resource, throttling and the API's life cycle are checked by HAProxy on
every call. What is refused is refused by a name; HAProxy writes the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ostiary.gateway.haproxy.decisions import PERIODS
from ostiary.gateway.node.tokens import Claims, end_user
from ostiary.gateway.plan import (
    API,
    NEVER,
    APIKey,
    Application,
    Client,
    GatewayPlan,
    Organization,
    Plan,
    Subscription,
)

USER: Final = "APPLICATION_USER"
INVALID_TOKEN: Final = "invalid_token"  # noqa: S105 (a name of haproxy.AGENT_REFUSALS)
SUBSCRIPTION_BLOCKED: Final = "subscription_blocked"
SUBSCRIPTION_INACTIVE: Final = "subscription_inactive"
NOT_SUBSCRIBED: Final = "not_subscribed"
DENIED_CALLER: Final = "denied_caller"
UNAVAILABLE: Final = "unavailable"


class Refused(Exception):
    """The call is refused with one of `haproxy.AGENT_REFUSALS`; `reason` is for the log alone."""

    def __init__(self, refusal: str, reason: str, stale: bool = False) -> None:
        super().__init__(reason)
        self.refusal = refusal
        self.reason = reason
        self.stale = stale
        """Whether something is missing that a newer plan may have."""
        self.claims: Claims | None = None
        """What the token says, where it could be read; for whoever explains the refusal."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Everything a decision and its backend JWT are made from."""

    claims: Claims
    organization: Organization
    api: API
    client: Client
    application: Application
    subscription: Subscription
    plan: Plan
    api_key: APIKey | None = None

    @property
    def asks_for_claims(self) -> bool:
        """Whether the backend is told claims of the user; an application has none."""
        return bool(self.api.assertion_claims) and self.claims.usertype == USER


def authorize_key(plan: GatewayPlan, api_id: str, sha256: str, now: float) -> Grant:
    """Decide by the current plan whether calls with this API key may call the API.

    Raises:
        Refused: by name; the caller sees the documented status and code.
    """
    key = plan.api_keys.get(sha256)
    organization = None if key is None else plan.organizations.get(key.organization_id)
    if key is None or organization is None:
        raise Refused(INVALID_TOKEN, "no such API key", stale=True)
    claims = Claims(
        issuer=organization.issuer,
        audience=frozenset({organization.audience}),
        subject=key.application_id,
        client_id="",
        scopes=(),
        expires_at=NEVER if key.expires_at is None else key.expires_at,
        not_before=None,
        token_id=key.id,
        family=None,
        usertype="APPLICATION",
        organization=organization.name,
        store=None,
        username=None,
        epoch=NEVER - 1,  # it ends by its entry; a minimum that cannot be read refuses it all the same
        kid=None,
    )
    return authorize(plan, api_id, claims, now, key)


def authorize(
    plan: GatewayPlan, api_id: str, claims: Claims, now: float, api_key: APIKey | None = None
) -> Grant:
    """Decide by the current plan whether `claims`, of a token or of that key, may call the API.

    Raises:
        Refused: by name; the caller sees the documented status and code.
    """
    api = plan.apis.get(api_id)
    if api is None:
        raise Refused(UNAVAILABLE, "the API is not in the plan", stale=True)
    not_understood = plan.refusals(api)
    if not_understood:
        raise Refused(UNAVAILABLE, f"not understood here: {', '.join(sorted(not_understood))}")
    organization = plan.organizations[api.organization_id]
    for reason, holds in TOKEN_CHECKS:
        if not holds(organization, claims, now):
            raise Refused(INVALID_TOKEN, reason)
    check_key(plan, organization, claims)
    check_revocation(plan, claims)
    concerned = [("organization", organization.id), ("client", claims.client_id), ("subject", claims.subject)]
    check_epochs(plan, organization, claims, [*concerned, *(("scope", scope) for scope in claims.scopes)])
    if ("oauth2" if api_key is None else "api_key") not in api.security:
        raise Refused(INVALID_TOKEN, "the API takes no credentials of this kind")
    client, application = _application(plan, organization, claims, api_key)
    check_epochs(plan, organization, claims, [("application", application.id)])
    check_denials(plan, organization, claims, application)
    subscription, limit = _subscription(plan, api, client, application)
    return Grant(claims, organization, api, client, application, subscription, limit, api_key)


TOKEN_CHECKS: Final[tuple[tuple[str, Callable[[Organization, Claims, float], bool]], ...]] = (
    ("issuer", lambda organization, claims, _: claims.issuer == organization.issuer),  # RFC 9068 §4
    ("organization", lambda organization, claims, _: claims.organization == organization.name),
    ("audience", lambda organization, claims, _: organization.audience in claims.audience),  # RFC 9068 §4
    ("expired", lambda _, claims, now: now < claims.expires_at),  # RFC 7519 §4.1.4
    ("not yet valid", lambda _, claims, now: claims.not_before is None or claims.not_before <= now),
)


def check_key(plan: GatewayPlan, organization: Organization, claims: Claims) -> None:
    """Refuse a token signed by another organization's key, or by one that is gone by now.

    Raises:
        Refused: the key is not the organization's.
    """
    if claims.kid is None:
        return
    key = plan.keys.get(claims.kid)
    if key is None or key.organization_id != organization.id:
        raise Refused(INVALID_TOKEN, "signed by a key of somebody else")


def check_revocation(plan: GatewayPlan, claims: Claims) -> None:
    """Refuse a revoked token or one of a revoked family (RFC 7009 §2.1).

    Raises:
        Refused: it is revoked.
    """
    if any(id in plan.revocations for id in revocation_ids(claims.token_id, claims.family)):
        raise Refused(INVALID_TOKEN, "revoked")


def revocation_ids(token_id: str, family: str | None) -> tuple[str, ...]:
    """Name the revocations that would end a token."""
    return (f"token:{token_id}",) if family is None else (f"token:{token_id}", f"family:{family}")


def check_epochs(
    plan: GatewayPlan, organization: Organization, claims: Claims, concerned: Iterable[tuple[str, str]]
) -> None:
    """Refuse a token issued before something it rests on was narrowed.

    Raises:
        Refused: its epoch is below a minimum.
    """
    for kind, key in concerned:
        if claims.epoch < plan.minimum(organization.id, kind, key):
            raise Refused(INVALID_TOKEN, f"issued before its {kind} was narrowed")


def check_denials(
    plan: GatewayPlan, organization: Organization, claims: Claims, application: Application
) -> None:
    """Refuse what a deny policy names: the user in whose name a token is, or the application.

    Raises:
        Refused: one is denied.
    """
    user = end_user(claims)
    if user is not None and plan.denies(organization.id, "USER", user):
        raise Refused(DENIED_CALLER, "a deny policy names the user")
    if plan.denies(organization.id, "APPLICATION", application.id):
        raise Refused(DENIED_CALLER, "a deny policy names the application")


def _application(
    plan: GatewayPlan, organization: Organization, claims: Claims, api_key: APIKey | None = None
) -> tuple[Client, Application]:
    client = plan.clients.get(claims.client_id)
    if api_key is not None:  # it stands for the application itself
        key_type, unsupported = api_key.key_type, api_key.unsupported
        client = Client("", organization.id, api_key.application_id, key_type, unsupported)
    if client is None or client.application_id is None:
        raise Refused(NOT_SUBSCRIBED, "the client belongs to no application", stale=True)
    if client.organization_id != organization.id:
        raise Refused(INVALID_TOKEN, "a client of another organization")
    application = plan.applications.get(client.application_id)
    if application is None or application.organization_id != organization.id:
        raise Refused(NOT_SUBSCRIBED, "the application is not known", stale=True)
    _understood(client.unsupported | application.unsupported)
    return client, application


def _subscription(
    plan: GatewayPlan, api: API, client: Client, application: Application
) -> tuple[Subscription, Plan]:
    subscription = plan.subscription(application.id, api.id)
    if subscription is None and api.state == "PROTOTYPED":
        return _as_prototype(api, client, application)
    if subscription is None or subscription.organization_id != api.organization_id:
        raise Refused(NOT_SUBSCRIBED, "no subscription", stale=True)
    _understood(subscription.unsupported)
    blocked = {"BLOCKED"} if client.key_type == "SANDBOX" else {"BLOCKED", "PROD_ONLY_BLOCKED"}
    if subscription.state in blocked:
        raise Refused(SUBSCRIPTION_BLOCKED, "the publisher blocked the subscription")
    if subscription.state not in ("UNBLOCKED", "PROD_ONLY_BLOCKED"):  # ON_HOLD, REJECTED, or new to us
        raise Refused(SUBSCRIPTION_INACTIVE, "the subscription is not approved")
    limit = plan.plans.get(subscription.plan_id)
    if limit is None:
        raise Refused(UNAVAILABLE, "the plan of the subscription is not known", stale=True)
    _understood(limit.unsupported)
    _counted_here(limit, application)
    _has_backend(api, client)
    return subscription, limit


def _as_prototype(api: API, client: Client, application: Application) -> tuple[Subscription, Plan]:
    """A prototype is there to be tried: every application may call it, without subscription or plan."""
    _has_backend(api, client)
    limit = Plan("", api.organization_id, "Unlimited", None, "minute")
    _counted_here(limit, application)
    id = unsubscribed(application.id, api.id)
    return Subscription(id, api.organization_id, application.id, api.id, limit.id, "UNBLOCKED"), limit


def unsubscribed(application_id: str, api_id: str) -> str:
    """Name what a call without subscription rests on: that there is none."""
    return f"none:{application_id}:{api_id}"


def _has_backend(api: API, client: Client) -> None:
    backend = api.backend.sandbox if client.key_type == "SANDBOX" else api.backend.production
    if not backend:
        raise Refused(INVALID_TOKEN, f"the API has no {client.key_type} backend")


def _counted_here(limit: Plan, application: Application) -> None:
    limited = limit.requests is not None or limit.bandwidth is not None
    periods = {limit.per} if limited else set()
    periods |= {one.per for one in (limit.burst, application.limit) if one is not None}
    for per in sorted(periods - set(PERIODS)):
        raise Refused(UNAVAILABLE, f"a limit per {per} is not understood here")


def _understood(unsupported: frozenset[str]) -> None:
    if unsupported:
        raise Refused(UNAVAILABLE, f"not understood here: {', '.join(sorted(unsupported))}")
