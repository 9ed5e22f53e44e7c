"""Deny policies: calls an administrator refuses whatever else holds.

A policy is about an address (`IP`), a range or network of them (`IPRANGE`), a user, an application or an API
version. It names what it is about by identifier, so a new name of an application changes nothing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from sqlalchemy import Connection

from ostiary.apim import repository
from ostiary.apim.applications import canonical_owner
from ostiary.apim.errors import Conflict, Invalid, NotFound
from ostiary.apim.model import DenyPolicy
from ostiary.foundation import audit
from ostiary.foundation.events import Event, record
from ostiary.foundation.identifiers import new_id
from ostiary.identity import PRIMARY
from ostiary.organizations import by_id

MOST_POLICIES = 200
"""Of an organization: gateways flatten those about addresses into one look-up."""
_Address = IPv4Address | IPv6Address


class DenyCondition(StrEnum):
    """What a deny policy looks at."""

    IP = "IP"
    IPRANGE = "IPRANGE"
    USER = "USER"
    APPLICATION = "APPLICATION"
    API = "API"


@dataclass(frozen=True, slots=True)
class DenySpec:
    """What an administrator says: `owner:name` or an id for an application, `/context/version` for an API."""

    condition: DenyCondition
    value: str
    invert: bool = False
    enabled: bool = True


def create_deny_policy(connection: Connection, organization_id: str, spec: DenySpec) -> DenyPolicy:
    """Begin to refuse calls.

    Raises:
        Invalid: a value that cannot be, or that names nothing there is.
        Conflict: there is such a policy already, or there are too many.
    """
    if len(repository.list_deny_policies(connection, organization_id)) >= MOST_POLICIES:
        raise Conflict(f"there are {MOST_POLICIES} deny policies; remove one first")
    value = canonical_value(connection, organization_id, spec)
    policy = DenyPolicy(new_id(), organization_id, spec.condition, value, spec.invert, spec.enabled)
    repository.insert_deny_policy(connection, policy)
    record(connection, Event("denial", organization_id, policy.id))
    audit.note(connection, organization_id, "deny_policy", policy.id, None, _picture(policy))
    return policy


def switch_deny_policy(
    connection: Connection, organization_id: str, policy_id: str, *, enabled: bool
) -> DenyPolicy:
    """Turn a policy on or off; what it is about stays.

    Raises:
        NotFound: the organization has no such policy.
    """
    found = get_deny_policy(connection, organization_id, policy_id)
    changed = replace(found, enabled=enabled)
    if changed != found:
        repository.switch_deny_policy(connection, changed)
        record(connection, Event("denial", organization_id, policy_id))
        old, new = _picture(found), _picture(changed)
        audit.note(connection, organization_id, "deny_policy", policy_id, old, new)
    return changed


def delete_deny_policy(connection: Connection, organization_id: str, policy_id: str) -> None:
    """Remove a policy.

    Raises:
        NotFound: the organization has no such policy.
    """
    found = get_deny_policy(connection, organization_id, policy_id)
    repository.remove_deny_policy(connection, organization_id, policy_id)
    record(connection, Event("denial", organization_id, policy_id))
    audit.note(connection, organization_id, "deny_policy", policy_id, _picture(found), None)


def get_deny_policy(connection: Connection, organization_id: str, policy_id: str) -> DenyPolicy:
    """The policy of that identifier.

    Raises:
        NotFound: the organization has no such policy.
    """
    found = repository.find_deny_policy(connection, organization_id, policy_id)
    if found is None:
        raise NotFound("deny policy", policy_id)
    return found


def written_value(connection: Connection, policy: DenyPolicy) -> str:
    """Write what a policy is about as an administrator would: by name."""
    here, value = policy.organization_id, policy.value
    if policy.condition == DenyCondition.APPLICATION:
        application = repository.find_application(connection, here, value)
        return f"{application.owner}:{application.name}" if application else value
    if policy.condition == DenyCondition.API:
        api = repository.find_api(connection, here, value)
        return api.base_path if api else value
    return value


def canonical_value(connection: Connection, organization_id: str, spec: DenySpec) -> str:
    """The one spelling by which a policy's value is kept and compared.

    Raises:
        Invalid: it cannot be, or names nothing there is.
    """
    if spec.invert and spec.condition not in (DenyCondition.IP, DenyCondition.IPRANGE):
        raise Invalid("invert", "true", f"false, because the condition is {spec.condition}")
    if spec.condition is DenyCondition.IP:
        return str(parse_address(spec.value))
    if spec.condition is DenyCondition.IPRANGE:
        return "-".join(map(str, address_range(spec.value)))
    if spec.condition is DenyCondition.USER:
        return _user(connection, organization_id, spec.value)
    if spec.condition is DenyCondition.APPLICATION:
        return _application_id(connection, organization_id, spec.value)
    return _api_id(connection, organization_id, spec.value)


def address_range(text: str) -> tuple[_Address, _Address]:
    """First and last address of `first-last`, of a network such as 192.0.2.0/24, or of one address.

    Raises:
        Invalid: it is none of them.
    """
    if "/" in text:
        try:
            network = ip_network(text)
        except ValueError as error:
            raise Invalid("value", repr(text), f"a network such as 192.0.2.0/24: {error}") from None
        return network.network_address, network.broadcast_address
    first, separator, last = text.partition("-")
    start = parse_address(first)
    end = parse_address(last) if separator else start
    if start.version != end.version or int(start) > int(end):
        raise Invalid(
            "value", repr(text), "a first and a last address of one kind, such as 192.0.2.1-192.0.2.9"
        )
    return start, end


def parse_address(text: str) -> _Address:
    """Read one address; one of IPv4 in the dress of IPv6 is taken out of it.

    Raises:
        Invalid: it is none.
    """
    try:
        address = ip_address(text)
    except ValueError:
        expected = "an address such as 192.0.2.7 or 2001:db8::7 (a network is an IPRANGE)"
        raise Invalid("value", repr(text), expected) from None
    if getattr(address, "scope_id", None):
        raise Invalid("value", repr(text), "an address without a zone")
    return getattr(address, "ipv4_mapped", None) or address


def _picture(policy: DenyPolicy) -> dict[str, object]:
    """A policy as the audit log has it: a user's name is personal."""
    value: object = policy.value
    if policy.condition == DenyCondition.USER:
        store, _, username = policy.value.rpartition("@")[0].rpartition("/")
        value = audit.Personal(audit.named(store or PRIMARY, username), policy.value)
    said = {"condition": policy.condition, "invert": policy.invert, "enabled": policy.enabled}
    return {**said, "value": value}


def _user(connection: Connection, organization_id: str, text: str) -> str:
    """Unknown users are taken: whoever is to be kept out may not have come yet."""
    organization = by_id(connection, organization_id)
    suffix = f"@{organization.name if organization else ''}"
    try:
        return canonical_owner(connection, organization_id, text) + suffix
    except Invalid as error:
        raise Invalid("value", repr(text), error.expected) from None


def _application_id(connection: Connection, organization_id: str, text: str) -> str:
    owner, separator, name = text.partition(":")
    if not separator:
        found = repository.find_application(connection, organization_id, text)
        candidates = [found] if found else []
    else:
        try:
            canonical = canonical_owner(connection, organization_id, owner)
        except Invalid as error:
            raise Invalid("value", repr(text), error.expected) from None
        named = repository.applications_named(connection, organization_id, name)
        candidates = [one for one in named if one.owner == canonical]
    if not candidates:
        raise Invalid("value", repr(text), "owner:name, or the id, of an application there is")
    return candidates[0].id


def _api_id(connection: Connection, organization_id: str, text: str) -> str:
    for api in repository.overlapping_apis(connection, organization_id, text) if len(text) < 300 else ():
        if api.base_path == text:
            return api.id
    raise Invalid("value", repr(text), "/context/version of an API there is, such as /orders/1.0.0")
