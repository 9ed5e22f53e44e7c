"""What a drawn file means, whichever of the ways to say it the file takes."""

import copy
from typing import Any

from tests.http.declarative.whole import KEY, MARKER

from ostiary import apim
from ostiary.declarative import Export, check_file
from ostiary.declarative.notices import working_scopes
from ostiary.oauth import GrantType
from ostiary.permissions import BUILT_IN_ROLES

Document = dict[str, Any]
MEMBERS = ("users", "groups", "clients")
SECRET = ({"unchanged": True}, "**********")


def meaning(document: Document) -> Document:
    """The file as it would be said in one way: without defaults, and who has a role at the role."""
    said = check_file(copy.deepcopy(document)).model_dump(mode="json", exclude_defaults=True)
    organization = said["organization"]
    if organization.get("display_name") == organization["name"]:
        del organization["display_name"]
    organization["features"] = sorted({*organization.get("features", ())})
    for section in ("users", "scopes", "plans", "apis", "applications"):
        said.setdefault(section, [])
    said["roles"] = _roles(said)
    for user in said["users"]:
        user.pop("roles", None)
        user.pop("password", None)
    for scope in said["scopes"]:
        scope["roles"] = sorted(scope.get("roles", ()))
    for plan in said["plans"]:
        plan["bandwidth"] = plan.get("bandwidth") and apim.parse_bandwidth(plan["bandwidth"])
    for api in said["apis"]:
        api["resources"] = api.pop("openapi", None) or api.get("resources", [])
    for application in said["applications"]:
        application["subscriptions"] = _sorted(application.get("subscriptions", ()))
        for client in application.get("keys", {}).values():
            _client(client)
    said["deny"] = _sorted(map(_denied, said.get("deny", ())))
    lists = {key: _sorted(said[key]) for key in ("users", "scopes", "plans", "apis", "applications")}
    return _secrets_set(said | lists)


def _roles(said: Document) -> Document:
    found = {name: {"permissions": list(nodes)} for name, nodes in BUILT_IN_ROLES.items()}
    for role in said.get("roles", ()):
        found.setdefault(role["name"], {"permissions": []})
        found[role["name"]] |= {key: list(dict.fromkeys(role[key])) for key in role.keys() - {"name"}}
    for user in said["users"]:
        for name in user.get("roles", ()):
            role = found.setdefault(name, {"permissions": []})
            role["users"] = list({*role.get("users", ()), user["username"]})
    return {
        name: {key: sorted(role.get(key, ())) for key in ("permissions", *MEMBERS)}
        for name, role in found.items()
    }


def _client(client: Document) -> None:
    client["grant_types"] = sorted({*client.get("grant_types", ())} & {*map(str, GrantType)})
    client["default_scope"] = working_scopes(client.get("default_scope", ()))
    if "scopes" in client:
        client["scopes"] = working_scopes(client["scopes"])


def _denied(policy: Document) -> Document:
    if policy["condition"] == "USER":
        return policy | {"value": policy["value"].removesuffix("@my_company")}
    if policy["condition"] == "IPRANGE":
        return policy | {"value": "-".join(map(str, apim.address_range(policy["value"])))}
    return policy


def _sorted(entries: Any) -> list[Any]:
    return sorted(entries, key=repr)


def _secrets_set(value: Any) -> Any:
    if value in SECRET:
        return "a secret"
    if isinstance(value, dict):
        return {key: _secrets_set(inner) for key, inner in sorted(value.items())}
    return [_secrets_set(inner) for inner in value] if isinstance(value, list) else value


def spelled_out(document: Document) -> Document:
    """The file with everything that would stay as it is if it were not said."""
    roles = {role["name"]: role for role in document.get("roles", ())}
    for name in (*BUILT_IN_ROLES, *roles):
        role = roles.setdefault(name, {"name": name})
        role |= {key: role.get(key, []) for key in MEMBERS}
        if name != "admin":
            role.setdefault("permissions", list(BUILT_IN_ROLES.get(name, ())))
    applications = [{"keys": {}, "subscriptions": []} | one for one in document.get("applications", ())]
    return document | {"roles": list(roles.values()), "applications": applications}


def with_secrets(found: Export) -> Document:
    """The export with a value for each secret that is set, and a password for everybody."""
    document = copy.deepcopy(found.document)
    for path in found.secrets:
        *steps, name = path
        inner: Any = document
        for step in steps:
            inner = inner[step]
        inner[name] = KEY if name == "key" else f"{MARKER}-of-many-bytes"
    for user in document.get("users", ()):
        user["password"] = "a password"
    return document
