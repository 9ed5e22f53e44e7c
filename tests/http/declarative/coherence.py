"""Takes out of a drawn organization file what rules between its parts forbid.

Each rule here is the smallest that makes a file acceptable; that they suffice is what the tests show.
"""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from ostiary.declarative import Refused, check_file
from ostiary.foundation.http_client import OutboundPolicy
from ostiary.identity import InvalidUserStore

Document = dict[str, Any]
Part = dict[str, Any]
BUILT_IN_PLANS = {"Gold", "Unlimited"}
SERVED = ("PROTOTYPED", "PUBLISHED", "BLOCKED", "DEPRECATED")
SUBSCRIBED = ("PROTOTYPED", "PUBLISHED")


def coherent(document: Document) -> Document:
    """The document without what no file may say."""
    for rule in RULES:
        rule(document)
    return document


def is_acceptable_store(store: Part) -> bool:
    """Whether the keys of one user store go together."""
    head = {"apiVersion": "ostiary/v1", "organization": {"name": "my_company"}}
    try:
        (part,) = check_file({**head, "user_stores": [store]}).user_stores
        part.settings.check(OutboundPolicy())
    except (Refused, InvalidUserStore):
        return False
    return True


def as_one_form(store: Part) -> Part:
    """A login service is of one form, and tells by a look-up what it tells at a login."""
    if store["type"] in ("ldap", "active_directory"):
        store["start_tls"] = not any(url.startswith("ldaps:") for url in store["urls"])
    if store["type"] != "rest":
        return store
    own = {"request", "response", "exists", "attributes", "look_up"}
    if "template" in store:
        store = {key: value for key, value in store.items() if key not in own}
        return store | {"url": store["url"].replace("/{username}", "")}
    store.pop("claims", None)
    if store.keys() & {"request", "response"}:
        _sound(store.setdefault("request", {}), store)
        _told_apart(store.setdefault("response", {}))
    else:
        store["url"] = store["url"].replace("/{username}", "")
    if "look_up" in store:
        login = store.get("response", {})
        store["look_up"] |= {"id": "id", "claims": login.get("claims", {}), "url": "https://x.example/{id}"}
        store["look_up"] |= {"groups": "groups"} if "groups" in login else {}
    return store


def _sound(request: Part, store: Part) -> None:
    if request.get("method") == "GET":
        request |= {"as_user": True}
        request.pop("body", None)
    if request.get("format") == "form":
        request["body"] = {"u": "{username}", "p": "{password}"} if "body" in request else {}
    if "body" not in request or not request["body"]:
        request["as_user"] = True
    if request.get("as_user") and not (store.get("auth") or {"signature": 1}).get("signature"):
        store.pop("auth")


def _told_apart(response: Part) -> None:
    said: set[int] = set()
    for key in ("accepted_status", "refused_status", "unknown_status"):
        if key in response:
            response[key] = [one for one in dict.fromkeys(response[key]) if one not in said]
            said |= set(response[key])
    if response.get("accepted_status") == []:
        del response["accepted_status"]
    if "accepted_status" not in response:
        for key in ("refused_status", "unknown_status"):
            if key in response:
                response[key] = [one for one in response[key] if one != 200]


def _each(document: Document, section: str) -> list[Part]:
    found: list[Part] = document.get(section) or []
    return found


def _once(document: Document, section: str, key: Callable[[Part], Any]) -> None:
    if document.get(section) is not None:
        document[section] = list({key(one): one for one in document[section]}.values())


def _known(part: Part, key: str, known: Iterable[str]) -> None:
    if part.get(key) is not None:
        part[key] = [one for one in dict.fromkeys(part[key]) if one in set(known)]


def _names_once(document: Document) -> None:
    for section in ("user_stores", "roles", "scopes", "plans", "applications"):
        _once(document, section, lambda one: one["name"])
    _once(document, "users", lambda one: one["username"])
    _once(document, "apis", lambda one: (one["name"], one["version"]))
    _once(document, "apis", lambda one: (one["context"], one["version"]))


def _stores(document: Document) -> list[str]:
    return [store["name"] for store in _each(document, "user_stores")]


def _is_somebody(document: Document, person: str) -> bool:
    store, slash, _ = person.rpartition("/")
    return store in _stores(document) if slash else person in _usernames(document)


def _usernames(document: Document) -> set[str]:
    return {user["username"] for user in _each(document, "users")}


def _role_names(document: Document) -> set[str]:
    return {role["name"] for role in _each(document, "roles")} | {"admin", "publisher"}


def _users(document: Document) -> None:
    for user in _each(document, "users"):
        user.setdefault("password", "a password")
        _known(user, "roles", _role_names(document))


def _roles(document: Document) -> None:
    for role in _each(document, "roles"):
        if role["name"] == "admin":
            role.pop("permissions", None)
        if role["name"] == "everyone":
            for key in ("users", "groups", "clients"):
                role.pop(key, None)
        _known(role, "users", [p for p in role.get("users", ()) if "/" not in p or _is_somebody(document, p)])
        for key in {"permissions", "groups", "clients"} & role.keys():
            role[key] = list(dict.fromkeys(role[key]))


def _scopes(document: Document) -> None:
    for scope in _each(document, "scopes"):
        if scope.get("everyone"):
            scope.pop("roles", None)
        else:
            scope.setdefault("roles", [])
        _known(scope, "roles", _role_names(document) | {"everyone"})


def _plans(document: Document) -> None:
    for plan in _each(document, "plans"):
        if "bandwidth" not in plan:
            plan.setdefault("requests", 7)


def _plan_names(document: Document) -> set[str]:
    return {plan["name"] for plan in _each(document, "plans")} | BUILT_IN_PLANS


def _apis(document: Document) -> None:
    defaults: set[str] = set()
    scopes = {scope["name"] for scope in _each(document, "scopes")}
    for api in _each(document, "apis"):
        _known(api, "plans", _plan_names(document))
        _resources(api, scopes)
        _backend(api)
        if api.get("state") in SERVED:
            api["plans"] = api.get("plans") or ["Gold"]
        api["security"] = list(dict.fromkeys(api.get("security") or ["oauth2"]))
        _cors(api.get("cors", {}))
        if "assertion" in api and "claims" in api["assertion"]:
            api["assertion"]["claims"] = list(dict.fromkeys(api["assertion"]["claims"]))
        if api.get("default_version"):
            api["default_version"] = api["context"] not in defaults
            defaults.add(api["context"])


def _resources(api: Part, scopes: set[str]) -> None:
    key = "openapi" if "openapi" in api else "resources"
    if key == "openapi":
        api.pop("resources", None)
    found = {(one["method"], one["path"]): one for one in api.get(key, ())}
    if not found and api.get("state") in SERVED:
        found = {("GET", "/"): {"method": "GET", "path": "/"}}
    for one in found.values():
        _known(one, "scopes", scopes if one.get("auth") != "none" else ())
    api[key] = list(found.values())


def _backend(api: Part) -> None:
    backend = api.setdefault("backend", {})
    for key in {"production", "sandbox"} & backend.keys():
        backend[key] = list(dict.fromkeys(backend[key]))
    if api.get("state") in SERVED and not (backend.get("production") or backend.get("sandbox")):
        backend["production"] = ["https://a.example/x"]
    addresses = [*backend.get("production", ()), *backend.get("sandbox", ())]
    if "health_check" in backend and len({urlsplit(one).hostname for one in addresses}) > 1:
        backend["server_name"] = "orders.example"
    if not addresses:
        for key in ("ca", "client_certificate", "server_name"):
            backend.pop(key, None)


def _cors(cors: Part) -> None:
    for key in {"origins", "methods", "headers"} & cors.keys():
        cors[key] = list(dict.fromkeys(cors[key]))
    if "*" in cors.get("origins", ["*"]):
        cors.pop("credentials", None)


def _applications(document: Document) -> None:
    taken: set[str] = set()
    owned = []
    for application in _each(document, "applications"):
        if not _is_somebody(document, application["owner"]):
            application["owner"] = next(iter(sorted(_usernames(document))), "")
        if application["owner"]:
            owned.append(application)
        keys = application.get("keys", {})
        for kind in list(keys):
            if keys[kind]["client_id"] in taken:
                del keys[kind]
                continue
            taken.add(keys[kind]["client_id"])
            _client(keys[kind], document)
        _subscriptions(application, document)
    if "applications" in document:
        document["applications"] = owned


def _client(client: Part, document: Document) -> None:
    client.setdefault("client_secret", "a secret")
    known = {scope["name"] for scope in _each(document, "scopes")} | {"openid"}
    known |= {"internal_user_view"} if client.get("internal_scopes") else set()
    _known(client, "scopes", known)
    _known(client, "default_scope", known & set(client.get("scopes", known)))
    _known(client, "user_stores", {"PRIMARY", *_stores(document)})
    if client.get("user_stores") == []:
        del client["user_stores"]


def _subscriptions(application: Part, document: Document) -> None:
    offered = {
        (api["name"], api["version"]): api.get("plans", ())
        for api in _each(document, "apis")
        if api.get("state") in SUBSCRIBED
    }
    if "subscriptions" in application:
        places = {(one["api"], one["version"]) for one in application["subscriptions"]}
        application["subscriptions"] = [
            {"api": name, "version": version, "plan": plans[-1]}
            for (name, version), plans in offered.items()
            if plans and ((name, version) in places or len(places) > 1)
        ]


def _deny(document: Document) -> None:
    paths = {f"{api['context']}/{api['version']}" for api in _each(document, "apis")}
    applications = {f"{one['owner']}:{one['name']}" for one in _each(document, "applications")}
    fitting = {"IP": {"192.0.2.7"}, "IPRANGE": {"192.0.2.7", "10.0.0.0-10.255.255.255"}, "USER": {"ann"}}
    fitting |= {"API": paths, "APPLICATION": applications}
    kept = []
    for one in _each(document, "deny"):
        if one["condition"] == "APPLICATION" and applications:
            one["value"] = min(applications)
        if one["condition"] == "API" and paths:
            one["value"] = min(paths)
        if one["condition"] not in ("IP", "IPRANGE"):
            one.pop("invert", None)
        if one["value"] in fitting[one["condition"]]:
            kept.append(one)
    if "deny" in document:
        document["deny"] = kept
        _once(document, "deny", lambda one: (one["condition"], one["value"], bool(one.get("invert"))))


RULES: tuple[Callable[[Document], None], ...] = (
    _names_once,
    _users,
    _roles,
    _scopes,
    _plans,
    _apis,
    _applications,
    _deny,
)
