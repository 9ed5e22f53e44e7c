"""A file that uses every key of the schema, with a marker in every secret it can hold."""

import copy
from collections.abc import Iterator
from typing import Any

from tests.support.certificates import Authority

from ostiary.foundation.certificates import Purpose

MARKER = "s3cret-marker"
AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("gateway", purpose=Purpose.CLIENT)
_LOGIN = {
    "request": {
        "method": "POST",
        "format": "json",
        "body": {"user": "{username}", "word": "{password}", "unchanged": {"unchanged": True}},
        "query": {"from": "gateway"},
        "headers": {"X-From": "gateway"},
    },
    "response": {
        "accepted": "code == `0`",
        "refused": "code == `7`",
        "unknown": "code == `8`",
        "accepted_status": [200, 201],
        "refused_status": [403],
        "unknown_status": [404],
        "id": "id",
        "name": "name",
        "claims": {"email": "mail"},
    },
}
_USER_STORES: list[dict[str, Any]] = [
    {
        "name": "EXTERNAL",
        "type": "rest",
        "url": "https://login.example/authenticate",
        "auth": {"basic": {"username": "gateway", "password": f"{MARKER}-1"}},
        "client_certificate": {"certificate": CERTIFICATE, "key": KEY},
        "ca": AUTHORITY.ca,
        "proxy": {"url": "https://proxy.example:3128", "username": "us", "password": f"{MARKER}-2"},
        "timeout_ms": 1500,
        "concurrency": 7,
        "accepts": "*@legacy.example",
        "case_sensitive": True,
        "enabled": True,
        "description": "People: of the shop #1",
        "ask_again_after_seconds": 60,
        "reauthenticate_after_seconds": 3600,
        "migrate_until": "2099-06-30",
    },
    {
        "name": "LEGACY",
        "type": "rest",
        "url": "https://legacy.example/login",
        "auth": {"signature": {"key_id": "us", "secret": f"{MARKER}-of-many-bytes"}},
        **_LOGIN,
        "exists": {
            "url": "https://legacy.example/{username}",
            "unknown_status": [410],
        },
        "attributes": [
            {
                "method": "POST",
                "url": "https://legacy.example/{id}/groups",
                "query": {"all": "yes"},
                "groups": "groups",
            }
        ],
        "look_up": {
            "url": "https://legacy.example/people/{id}",
            "id": "id",
            "name": "name",
            "active": "active",
            "claims": {"email": "mail"},
            "unknown_status": [404, 410],
        },
    },
    {
        "name": "TOKEN",
        "type": "rest",
        "url": "https://t.example/",
        "auth": {"bearer": {"token": f"{MARKER}-3"}},
    },
    {
        "name": "SIGNED",
        "type": "rest",
        "url": "https://s.example/",
        "auth": {"signed_token": {"key": KEY, "key_id": "k", "issuer": "us", "audience": "them"}},
    },
    {
        "name": "AGENT",
        "type": "rest",
        "url": "https://agent.example/",
        "template": "agent",
        "claims": {"email": "mail"},
    },
    {
        "name": "CORP",
        "type": "ldap",
        "urls": ["ldap://dc1.corp.example", "ldap://dc2.corp.example"],
        "start_tls": True,
        "ca": AUTHORITY.ca,
        "strict_x509": False,
        "bind": {"dn": "cn=reader,dc=corp,dc=example", "password": f"{MARKER}-4"},
        "users": {"base": "ou=people,dc=corp,dc=example", "filter": "(uid={username})", "id": "uidNumber"},
        "groups": {"base": "ou=groups,dc=corp,dc=example", "name": "ou", "nested": True},
        "claims": {"email": "mail"},
    },
    {
        "name": "DOMAIN",
        "type": "active_directory",
        "urls": ["ldaps://ad.example"],
        "bind": {"dn": "cn=reader,dc=ad", "password": f"{MARKER}-5"},
        "users": {"base": "dc=ad,dc=example"},
    },
    {
        "name": "SHOP",
        "type": "sql",
        "url": "postgresql://reader@db.example/shop",
        "password": f"{MARKER}-6",
        "user_query": "SELECT id, login AS name, hash, salt FROM customers WHERE login = :username",
        "id_query": "SELECT id, login AS name FROM customers WHERE id = :id",
        "groups_query": "SELECT name FROM customer_groups WHERE customer_id = :id",
        "hash_layout": {"algorithm": "sha512", "salt_first": False, "encoding": "base64"},
        "claims": {"email": "email"},
    },
]
_RESOURCES: list[dict[str, Any]] = [
    {"method": "GET", "path": "/", "auth": "none"},
    {"method": "GET", "path": "/{id}", "auth": "user", "limit": {"requests": 7, "per": "day"}},
    {"method": "POST", "path": "/*", "scopes": ["orders:write", "open"], "limit": "10KPerMin"},
]
_WHOLE: dict[str, Any] = {
    "apiVersion": "ostiary/v1",
    "organization": {
        "name": "my_company",
        "display_name": "My Company: Ltd # 1",
        "features": ["challenge_questions"],
        "chain": "any",
    },
    "user_stores": _USER_STORES,
    "users": [
        {"username": "alex", "password": f"{MARKER}-7", "claims": {"email": "a@example.com", "empty": ""}},
        {
            "username": "bob",
            "password": f"{MARKER}-8",
            "roles": ["support"],
            "claims": {"nick": "no\n #x: '"},
        },
        {"username": "zoë@my_company.example", "password": f"{MARKER}-9"},
    ],
    "roles": [
        {"name": "admin", "users": ["bob", "CORP/boss"]},
        {
            "name": "clerk",
            "users": ["EXTERNAL/TestUser"],
            "groups": ["CORP/sales", "GONE/any"],
            "clients": ["mobile"],
        },
        {"name": "empty"},
        {"name": "everyone", "permissions": ["/permission/admin/manage/api/view"]},
        {"name": "publisher", "permissions": []},
        {"name": "support", "permissions": ["/permission/admin/manage/identity/identitymgt/view"]},
    ],
    "scopes": [
        {"name": "open", "everyone": True},
        {"name": "orders:write", "description": "Create: orders", "roles": ["clerk", "everyone"]},
        {"name": "nobody", "roles": []},
    ],
    "plans": [
        {
            "name": "Partner",
            "requests": 10_000,
            "per": "day",
            "burst": {"requests": 20, "per": "minute"},
            "bandwidth": "1500MB",
        },
        {"name": "Wide", "bandwidth": "2048KB", "per": "month"},
    ],
    "apis": [
        {
            "name": "Orders",
            "context": "/orders",
            "version": "1.0.0",
            "state": "PUBLISHED",
            "backend": {
                "production": ["https://a.example/x", "https://b.example/x"],
                "sandbox": ["https://c.example"],
                "timeout_ms": 5000,
                "connect_timeout_ms": 500,
                "health_check": "/healthz",
                "server_name": "orders.example",
                "ca": AUTHORITY.ca,
                "client_certificate": {"certificate": CERTIFICATE, "key": KEY},
                "breaker_failures": 3,
                "breaker_pause_seconds": 7,
            },
            "plans": ["Partner", "Gold"],
            "resources": _RESOURCES,
            "limit": {"requests": 600, "per": "second"},
            "security": ["oauth2", "api_key"],
            "cors": {
                "origins": ["https://shop.example"],
                "methods": ["GET"],
                "headers": ["X-A"],
                "credentials": True,
            },
            "default_version": True,
            "assertion": {"claims": ["email", "given_name"]},
        },
        {
            "name": "Orders",
            "context": "/orders",
            "version": "2.0.0",
            "resources": [],
            "cors": {"enabled": False},
        },
    ],
    "applications": [
        {
            "name": "Mobile",
            "owner": "zoë@my_company.example",
            "tier": "20PerMin",
            "keys": {
                "production": {
                    "client_id": "mobile",
                    "client_secret": f"{MARKER}-10",
                    "grant_types": ["password", "client_credentials", "refresh_token"],
                    "token_format": "opaque",
                    "scopes": ["orders:write", "open", "internal_user_view"],
                    "default_scope": ["open"],
                    "strict_scopes": True,
                    "internal_scopes": True,
                    "validity_period": "bounded",
                    "access_token_lifetime_seconds": 60,
                    "refresh_token_lifetime_seconds": 600,
                    "user_stores": ["CORP", "PRIMARY"],
                },
                "sandbox": {"client_id": "mobile.box", "client_secret": f"{MARKER}-11", "scopes": []},
            },
            "subscriptions": [{"api": "Orders", "version": "1.0.0", "plan": "Partner"}],
        },
        {"name": "Bare", "owner": "EXTERNAL/TestUser"},
    ],
    "deny": [
        {"condition": "IP", "value": "::ffff:192.0.2.7"},
        {"condition": "IPRANGE", "value": "10.0.0.0/8", "invert": True, "enabled": False},
        {"condition": "USER", "value": "CORP/mallory@my_company"},
        {"condition": "APPLICATION", "value": "EXTERNAL/TestUser:Bare"},
        {"condition": "API", "value": "/orders/1.0.0"},
    ],
}


def a_whole_file() -> dict[str, Any]:
    """The file, free to be changed."""
    return copy.deepcopy(_WHOLE)


def keys_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a document by its path, entries of lists as one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from keys_of(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner, path)
