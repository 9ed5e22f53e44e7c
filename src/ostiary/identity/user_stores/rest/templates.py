"""Forms of request and answer that are ready: the agreed one, and that of WSO2's on-premises agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ostiary.identity.user_stores.rest.settings import (
    Attributes,
    Exists,
    LookUp,
    Request,
    Response,
    RESTSettings,
)

AGREED_REQUEST: Final = Request(body={"credentials": {"username": "{username}", "password": "{password}"}})
AGREED_RESPONSE: Final = Response(accepted="response.status == 'true'", refused="response.status == 'false'")


@dataclass(frozen=True, slots=True)
class Form:
    """What a service is sent and what its answers mean."""

    url: str
    request: Request
    response: Response
    exists: Exists | None = None
    attributes: tuple[Attributes, ...] = ()
    look_up: LookUp | None = None


def form_of(settings: RESTSettings) -> Form:
    """The form that these settings ask for."""
    if settings.template == "agent":
        return _agent(settings.url.rstrip("/"), settings)
    return Form(
        settings.url,
        settings.request or AGREED_REQUEST,
        settings.response or AGREED_RESPONSE,
        settings.exists,
        tuple(settings.attributes),
        settings.look_up,
    )


def _agent(base: str, settings: RESTSettings) -> Form:
    """`POST /authenticate`, then `GET /users/{u}/exists`, or `/users/{u}?attributes=…` and `/groups`."""
    user = f"{base}/users/{{username}}"
    names = sorted(set(settings.claims.values()))
    claims = {claim: _member(attribute) for claim, attribute in settings.claims.items()}
    about = Attributes(url=user, query={"attributes": ",".join(names)}, claims=claims) if names else None
    groups = Attributes(url=f"{user}/groups", groups="groups")
    return Form(
        f"{base}/authenticate",
        Request(body={"username": "{username}", "password": "{password}"}),
        Response(accepted="authenticated == `true`", refused="authenticated == `false`"),
        Exists(url=f"{user}/exists"),
        (about, groups) if about else (groups,),
        LookUp(url=f"{user}/exists"),
    )


def _member(attribute: str) -> str:
    """The JMESPath of a member of that name, such as `"http://wso2.org/claims/emailaddress"`."""
    escaped = attribute.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
