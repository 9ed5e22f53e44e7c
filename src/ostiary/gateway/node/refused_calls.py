"""Every check of a call in order, told from its line of the access log: which one refused it, and what to do.

HAProxy says with one word why it refused; what stands before that word in the table held. A refusal that is
not in the table is its own last step, so a new one is shown, if plainly, before it has a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ostiary.gateway.node.explaining import Step


class CallCheck(NamedTuple):
    """One check HAProxy makes of a call, and the refusals that mean it failed."""

    check: str
    refusals: frozenset[str]
    compared: Callable[[Mapping[str, Any]], str] = lambda _: ""
    is_credential: bool = False
    """Here come the agent's own steps, where it was asked."""


def _path(line: Mapping[str, Any]) -> str:
    return f"{line['method']} {line['path']}"


CALL_CHECKS: Final = (  # in order
    CallCheck(
        "path and headers can be read in one way only", frozenset({"bad_request", "headers_too_large"}), _path
    ),
    CallCheck("the body fits the endpoint", frozenset({"body_too_large"})),
    CallCheck("the gateway has its plan", frozenset({"not_ready"}), lambda line: f"node {line['node']}"),
    CallCheck("an API is published at this path", frozenset({"not_found"}), _path),
    CallCheck(
        "no deny policy names the address or the API",
        frozenset({"denied"}),
        lambda line: f"address {line['client']}, API {line['api']}",
    ),
    CallCheck(
        "the API is open for calls",
        frozenset({"api_blocked", "unsupported"}),
        lambda line: f"API {line['api']}",
    ),
    CallCheck("the API has a resource at this path", frozenset({"no_resource"}), _path),
    CallCheck(
        "the resource takes the method",
        frozenset({"wrong_method"}),
        lambda line: (
            f"{line['method']}; the resource takes {line['wanted']}"
            if line["refusal"] == "wrong_method"
            else line["method"]
        ),
    ),
    CallCheck("the call carries one credential", frozenset({"missing_token", "several_credentials"})),
    CallCheck("the API takes credentials of this kind", frozenset({"wrong_credential"})),
    CallCheck(
        "few refused tokens came from this address",
        frozenset({"guessing"}),
        lambda line: f"address {line['client']}",
    ),
    CallCheck(
        "the token may call the API",
        frozenset(
            {
                "invalid_token",
                "subscription_blocked",
                "subscription_inactive",
                "not_subscribed",
                "denied_caller",
                "unavailable",
            }
        ),
        is_credential=True,
    ),
    CallCheck("the resource takes tokens of this type", frozenset({"wrong_token_type"})),
    CallCheck(
        "the API key may be used from here",
        frozenset({"wrong_address", "wrong_referer"}),
        lambda line: f"address {line['client']}",
    ),
    CallCheck(
        "the token has a scope of the resource",
        frozenset({"insufficient_scope"}),
        lambda line: (
            f"one of: {line['wanted']}; the token has: {line['had'].strip() or 'none'}"
            if line["wanted"]
            else ""
        ),
    ),
    CallCheck("the API has a backend for keys of this type", frozenset({"no_endpoint", "no_address"})),
    CallCheck("HAProxy can use the backend as it is configured", frozenset({"quarantined"})),
    CallCheck("the backend takes another call", frozenset({"overloaded", "suspended"})),
    CallCheck(
        "the limits are not used up",
        frozenset(
            {
                "throttled",
                "throttled_bandwidth",
                "throttled_burst",
                "throttled_application",
                "throttled_api",
                "throttled_resource",
            }
        ),
        lambda line: line["wanted"],
    ),
)

ADVICE: Final[Mapping[str, str]] = {
    "bad_request": "have the caller send the path in its plain form: no dot segments, empty segments, "
    "encoded slashes or needless escapes, and one Authorization header",
    "headers_too_large": "have the caller send less than 16 KB of headers",
    "body_too_large": "have the caller send a smaller body",
    "not_ready": "wait a moment; where it lasts, `ostiary doctor` looks at the agent",
    "not_found": "compare context and version with the published APIs; a retired one is not found either",
    "api_blocked": "unblock the API, or wait for its publisher",
    "unsupported": "upgrade this gateway node: the API has a restriction it does not know",
    "no_resource": "compare the path with the API's resources",
    "wrong_method": "use a method the resource takes, or add this one to the API's resources",
    "missing_token": "send Authorization: Bearer TOKEN",
    "several_credentials": "send one credential: Authorization, apikey, or the query's apikey",
    "wrong_credential": "send the credential that the API's security names, or have its publisher add it",
    "wrong_token_type": "get a token of the kind that the resource's auth names",
    "wrong_address": "call from a permitted address, or make a key that permits this one",
    "wrong_referer": "call from a permitted page, or make a key that permits this one",
    "denied": "see the organization's deny policies: one names the address or the API",
    "denied_caller": "see the organization's deny policies: one names the user or the application",
    "guessing": "find who sends wrong tokens from this address; it is over ten seconds after they stop",
    "invalid_token": "get a new token",
    "subscription_blocked": "have the publisher unblock the subscription",
    "subscription_inactive": "have the publisher approve the subscription",
    "not_subscribed": "subscribe the application to this version of the API",
    "unavailable": "look at the control plane and the agent: `ostiary doctor`",
    "insufficient_scope": "ask for a token with such a scope; the user or client needs a role of the scope",
    "no_endpoint": "give the API a backend for keys of this type",
    "no_address": "see whether the name of the backend resolves on the gateway node",
    "quarantined": "the log line backend_quarantined says what HAProxy refuses; change the backend",
    "overloaded": "see why the backend answers slowly: too many calls wait for it",
    "suspended": "see why the backend keeps failing; one call a second tries it",
    "throttled": "wait until Retry-After, or give the subscription a larger plan",
    "throttled_bandwidth": "wait until Retry-After, or give the subscription a plan with a larger bandwidth",
    "throttled_burst": "spread the calls over the time, or give the subscription a plan with a larger burst",
    "throttled_application": "wait until Retry-After, or give the application a larger tier",
    "throttled_api": "wait until Retry-After; all callers together reach the limit of the API",
    "throttled_resource": "wait until Retry-After; all callers together reach the limit of the resource",
    "internal": "look at the log of the gateway node around this time",
}
_BACKEND: Final = "the backend answers"


def call_steps(line: Mapping[str, Any], credential: Sequence[Step]) -> list[Step]:
    """Return every check of a call in order, by its line of the access log, up to what refused it."""
    refusal: str = line["refusal"]
    steps: list[Step] = []
    for one in CALL_CHECKS:
        failed = refusal in one.refusals
        if one.is_credential and credential:
            steps += credential
        elif failed:
            steps.append(Step(one.check, one.compared(line), f"{refusal} ({line['status']} {line['code']})"))
        elif one.check != "the body fits the endpoint":
            steps.append(Step(one.check, one.compared(line)))
        if failed:
            return steps
    if refusal:
        return [Step(refusal, line["wanted"], f"refused with {line['status']} {line['code']}")]
    answered = f"status {line['status']} after {line['backend_milliseconds']} ms"
    return [*steps, Step(_BACKEND, answered, f"the backend's own answer, or none: {line['termination']}")]


def advice(line: Mapping[str, Any]) -> str:
    """Say what to do."""
    if not line["refusal"]:
        return (
            "the gateway let the call through: look at the backend under the same request or trace identifier"
        )
    return ADVICE.get(line["refusal"], "see the code in docs/how-to/operate-a-gateway.md")
