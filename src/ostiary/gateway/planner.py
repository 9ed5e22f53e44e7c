"""Draws the gateway plan from what the other slices know. Pure: models in, things of the plan out."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from ostiary import apim, oauth
from ostiary.gateway import plan
from ostiary.organizations import Organization, issuer_of


def draw_organization(organization: Organization, public_url: str) -> plan.Organization:
    """Draw what tokens of an organization must say: issuer, and the gateway as audience."""
    issuer = issuer_of(public_url, organization)
    return plan.Organization(organization.id, organization.name, issuer, f"{issuer}/gateway")


def draw_api(api: apim.API, client_key: str | None = None) -> plan.API:
    """Draw an API version; `client_key` is the opened key of its client certificate."""
    said = api.backend
    mine = said.client_certificate
    return plan.API(
        id=api.id,
        organization_id=api.organization_id,
        name=api.name,
        context=api.context,
        version=api.version,
        state=api.state.value,
        backend=plan.Backend(
            production=said.production,
            sandbox=said.sandbox,
            timeout_ms=said.timeout_ms,
            connect_timeout_ms=said.connect_timeout_ms,
            health_check=said.health_check,
            server_name=said.server_name,
            ca=said.ca,
            client_certificate=None if mine is None else mine.certificate,
            client_key=client_key,
            breaker_failures=said.breaker_failures,
            breaker_pause_seconds=said.breaker_pause_seconds,
        ),
        resources=tuple(
            plan.Resource(one.method, one.path, one.scopes, _limit(one.limit), one.auth.value)
            for one in api.resources
        ),
        limit=_limit(api.limit),
        security=tuple(kind.value for kind in api.security),
        cors=plan.CORS(**asdict(api.cors)),
        default_version=api.default_version,
        assertion_claims=api.assertion_claims,
    )


def draw_api_key(key: apim.APIKey) -> plan.APIKey:
    """Draw an API key; it is known by its hash."""
    return plan.APIKey(
        id=key.sha256,
        organization_id=key.organization_id,
        application_id=key.application_id,
        key_type=key.key_type.value,
        expires_at=None if key.expires_at is None else int(key.expires_at.timestamp()),
        addresses=key.addresses,
        referers=key.referers,
    )


def draw_denial(policy: apim.DenyPolicy) -> plan.Denial | None:
    """Draw a deny policy; one that is off is not in the plan."""
    if not policy.enabled:
        return None
    condition, value = policy.condition, policy.value
    if condition in (apim.DenyCondition.IP, apim.DenyCondition.IPRANGE):
        condition, value = "IP", "-".join(map(str, apim.address_range(value)))
    return plan.Denial(policy.id, policy.organization_id, condition, value, policy.invert)


def draw_application(application: apim.Application, organization: Organization) -> plan.Application:
    """Draw an application; its owner is written as in claims, `[STORE/]name@organization`."""
    return plan.Application(
        id=application.id,
        organization_id=application.organization_id,
        name=application.name,
        owner=f"{application.owner}@{organization.name}",
        tier=application.tier,
        limit=_limit(apim.TIERS[application.tier]),
    )


def draw_client(client: oauth.Client, keys: apim.ApplicationKeys | None) -> plan.Client | None:
    """Draw a client and whose key it is; a disabled one is not in the plan."""
    if client.is_disabled:
        return None
    application_id = None if keys is None else keys.application_id
    key_type = apim.KeyType.PRODUCTION if keys is None else keys.key_type
    return plan.Client(client.client_id, client.organization_id, application_id, key_type.value)


def draw_subscription(subscription: apim.Subscription) -> plan.Subscription:
    """Draw a subscription."""
    return plan.Subscription(
        id=subscription.id,
        organization_id=subscription.organization_id,
        application_id=subscription.application_id,
        api_id=subscription.api_id,
        plan_id=subscription.plan_id,
        state=subscription.state.value,
    )


def draw_plan(limit: apim.Plan) -> plan.Plan:
    """Draw a rate plan."""
    return plan.Plan(
        id=limit.id,
        organization_id=limit.organization_id,
        name=limit.name,
        requests=limit.requests,
        per=limit.per.value,
        burst=_limit(limit.burst),
        bandwidth=limit.bandwidth,
    )


def _limit(limit: apim.Limit | None) -> plan.Limit | None:
    return None if limit is None else plan.Limit(limit.requests, limit.per.value)


def draw_key(key: oauth.PublicKey) -> plan.Key:
    """Draw a public key that signs access tokens."""
    return plan.Key(key.kid, key.organization_id, dict(key.jwk), key.state.value)


def draw_epoch(organization_id: str, kind: str, key: str, minimum: int) -> plan.Epoch:
    """Draw the minimum epoch of a client, subject, scope, application or organization."""
    return plan.Epoch(plan.epoch_id(organization_id, kind, key), organization_id, kind, key, minimum)


def draw_revocation(id: str, expires_at: datetime) -> plan.Revocation:
    """Draw a revocation; it ends a second late rather than early."""
    return plan.Revocation(id, int(expires_at.timestamp()) + 1)
