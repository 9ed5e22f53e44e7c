"""Any organization file: what the models of the schema allow, with values for what they leave open.

The models say which keys there are, so a new key is drawn as soon as it has values here. What rules between
the parts forbid is taken out again by `coherence.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tests.http.declarative.coherence import as_one_form, coherent, is_acceptable_store
from tests.http.declarative.whole import AUTHORITY, CERTIFICATE, KEY, MARKER

from ostiary.apim import METHODS, TIERS
from ostiary.declarative import OrganizationFile
from ostiary.declarative.references import Secret

TEXT = ["plain", "Two: words # 1", "zoë \u202e 'q' \"d\"", "{env: NO}", "null", "0"]
STATUS = [200, 204, 401, 404]
SCOPES = ["orders:read", "orders:write", "internal_user_view", "openid"]
PEOPLE = [
    "ann",
    "bob",
    "zoë@other",
    "it@my_company.example",
    "EXTERNAL/it@my_company@my_company",
    "CORP/boss",
]
LOGIN = {"user": "{username}", "word": "{password}", "more": {"unchanged": {"unchanged": True}}}
DN = ["ou=people,dc=corp,dc=example", "dc=corp,dc=example"]
BY_ID = ["SELECT name FROM t WHERE id = :id", "WITH x AS (SELECT 1) SELECT a FROM t WHERE id = :id -- '#'"]
CLAIMS: list[dict[str, str]] = [{}, {"email": "mail"}, {"http://wso2.org/claims/x": "x", "email": "mail"}]

_ROWS: tuple[tuple[str, Sequence[Any]], ...] = (
    ("organization.name", ["my_company"]),
    ("display_name description", TEXT),
    ("username owner roles.users", PEOPLE),
    ("users.username", PEOPLE[:4]),
    ("users.claims", [{}, {"email": "a@b.example", "empty": ""}, {"nick": "no\n #x: '"}]),
    ("roles.name scopes.roles", ["admin", "clerk", "everyone", "publisher", "a role: x"]),
    ("users.roles", ["admin", "clerk", "a role: x"]),
    ("permissions", ["/permission/admin/manage/api", "/permission/admin/manage/identity/identitymgt/view"]),
    ("groups", ["CORP/sales", "GONE/a/b", "EXTERNAL/Two: words"]),
    ("roles.clients", ["mobile", "box", "to.come"]),
    ("scopes.name", SCOPES[:2]),
    ("resources.scopes openapi.scopes", SCOPES[:2]),
    ("production.scopes sandbox.scopes default_scope", SCOPES),
    ("plans.name", ["Partner", "Wide"]),
    ("apis.plans subscriptions.plan", ["Partner", "Wide", "Gold", "Unlimited"]),
    ("bandwidth", ["1500MB", "2048KB", "1KB", "1024MB"]),
    ("apis.name subscriptions.api", ["Orders", "Stock: & more"]),
    ("context", ["/orders", "/stock/eu"]),
    ("apis.version subscriptions.version", ["1.0.0", "2.0.0", "v1"]),
    ("backend.production backend.sandbox", ["https://a.example/x", "https://b.example/x"]),
    ("backend.timeout_ms", [100, 600_000]),
    ("connect_timeout_ms", [50, 60_000]),
    ("breaker_failures", [1, 1_000]),
    ("breaker_pause_seconds", [1, 60]),
    ("health_check", ["/", "/healthz"]),
    ("server_name", ["orders.example"]),
    ("ca", [AUTHORITY.ca]),
    ("certificate", [CERTIFICATE]),
    ("key", [KEY]),
    ("resources.method openapi.method cors.methods", METHODS),
    ("resources.path openapi.path", ["/", "/{id}", "/a/*", "/{id}/b"]),
    ("origins", ["*", "https://shop.example"]),
    ("cors.headers", ["X-A", "authorization"]),
    ("assertion.claims", ["email", "given_name", "nick"]),
    ("applications.name", ["Mobile", "Robot: 2"]),
    ("tier", list(TIERS)),
    ("client_id", ["mobile", "box", "robot", "other.box"]),
    ("production.user_stores", ["PRIMARY", "EXTERNAL", "CORP"]),
    ("sandbox.user_stores", ["PRIMARY", "SHOP"]),
    (
        "deny.value",
        [
            "192.0.2.7",
            "10.0.0.0-10.255.255.255",
            "/orders/1.0.0",
            "/stock/eu/v1",
            "bob:Mobile",
            "ann",
        ],
    ),
    ("rest.name", ["EXTERNAL", "LEGACY"]),
    ("ldap.name", ["CORP"]),
    ("active_directory.name", ["CORP", "DOMAIN"]),
    ("sql.name", ["SHOP"]),
    ("saml.name", ["PARTNER"]),
    ("entity_id", ["https://idp.example/metadata"]),
    ("certificates", [CERTIFICATE]),
    ("aliases", ["https://app.example/saml", "urn:app"]),
    ("saml.id saml.username saml.groups", ["uid", "urn:oid:0.9.2342.19200300.100.1.1"]),
    ("accepts", ["*@legacy.example", "?"]),
    ("migrate_until", ["2099-06-30"]),
    ("rest.url", ["https://login.example/authenticate", "https://login.example/{username}"]),
    ("proxy.url", ["https://proxy.example:3128"]),
    ("exists.url attributes.url look_up.url", ["https://x.example/{username}"]),
    ("basic.username", ["gateway"]),
    ("key_id issuer audience proxy.username", TEXT),
    ("body", [LOGIN, {"u": "{username}", "p": "{password}"}]),
    ("query", [{}, {"from": "gateway: #1"}]),
    ("request.headers", [{}, {"X-From": "gateway"}]),
    ("accepted_status refused_status known_status unknown_status", STATUS),
    ("accepted refused unknown active", ["code == `0`", "a.b == 'x'"]),
    ("response.id response.name response.groups", ["id", "result[0].x"]),
    ("attributes.id attributes.groups look_up.id look_up.groups", ["id"]),
    ("look_up.name", ["name"]),
    ("rest.claims ldap.claims sql.claims active_directory.claims saml.claims", CLAIMS),
    ("response.claims attributes.claims look_up.claims", CLAIMS[:2]),
    ("urls", ["ldaps://dc1.corp.example", "ldaps://dc2.corp.example:6360", "ldap://127.0.0.1"]),
    ("dn", ["cn=reader,dc=corp,dc=example"]),
    ("base", DN),
    ("users.filter", ["(uid={username})", "(|(uid={username})(mail={username}))"]),
    ("groups.filter", ["(member={dn})", "(memberUid={username})"]),
    ("ldap.users.id ldap.users.name groups.name member_of", ["cn", "memberOf", "uid"]),
    ("active_directory.users.id active_directory.users.name", ["objectSid", "cn"]),
    ("dn_pattern", ["uid={username},ou=people,dc=corp,dc=example"]),
    ("sql.url", ["postgresql://reader@db.example/shop", "mysql://r@127.0.0.1:3307/a%20b"]),
    (
        "user_query",
        ["SELECT id, hash FROM t WHERE login = :username", "WITH x AS (SELECT 1) SELECT :username"],
    ),
    ("id_query groups_query", BY_ID),
)
VALUES: Mapping[str, Sequence[Any]] = {key: values for keys, values in _ROWS for key in keys.split()}
"""What may stand at a key, by the end of its path; of a list, what may be in it."""
SECRETS = [f"{MARKER}-of-many-bytes", f"{MARKER}-'#: other"]
_ABSENT = object()


def any_file() -> st.SearchStrategy[dict[str, Any]]:
    """A file that can be applied to an installation where nothing is yet."""
    return _model(OrganizationFile, ()).map(coherent)


def any_store() -> st.SearchStrategy[dict[str, Any]]:
    """One user store of any type."""
    (listed,) = get_args(OrganizationFile.model_fields["user_stores"].annotation)
    return _of(listed, (), ("user_stores",))


def keys_of_schema(model: type[BaseModel] = OrganizationFile, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every key that a file can have, with those of user stores by type."""
    for name, field in model.model_fields.items():
        here = (*path, name)
        yield ".".join(here)
        for inner in _models_in(field.annotation):
            typed = (*here, _type_of(inner)) if here == ("user_stores",) else here
            yield from keys_of_schema(inner, typed)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _type_of(store: type[BaseModel]) -> str:
    found: str = get_args(store.model_fields["type"].annotation)[0]
    return found


def _model(model: type[BaseModel], path: tuple[str, ...]) -> st.SearchStrategy[Any]:
    made = {
        name: _of(field.annotation, field.metadata, (*path, name))
        for name, field in model.model_fields.items()
    }
    if path[-1:] == ("auth",):
        return st.one_of(*(st.fixed_dictionaries({name: one}) for name, one in made.items()))
    always = {name for name, field in model.model_fields.items() if not path or field.is_required()}
    drawn = {name: one if name in always else st.just(_ABSENT) | one for name, one in made.items()}
    return st.fixed_dictionaries(drawn).map(_said)


def _said(drawn: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in drawn.items() if value is not _ABSENT}


def _of(annotation: Any, metadata: Sequence[Any], path: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Values of a type: those the type says itself, and otherwise those of the table."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        said = [one.metadata if isinstance(one, FieldInfo) else [one] for one in arguments[1:]]
        return _of(arguments[0], [*metadata, *chain.from_iterable(said)], path)
    if origin in (Union, UnionType):
        return st.one_of(*(_of(one, metadata, path) for one in arguments if one is not NoneType))
    if origin is list:
        least = max([getattr(one, "min_length", 0) or 0 for one in metadata], default=0)
        is_section = len(path) == 1
        return st.lists(_of(arguments[0], (), path), min_size=2 if is_section else least, max_size=3)
    if origin is Literal:
        return st.sampled_from(arguments)
    if annotation is bool:
        return st.booleans()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if path != ("user_stores",):
            return _model(annotation, path)
        return _model(annotation, (*path, _type_of(annotation))).map(as_one_form).filter(is_acceptable_store)
    low, high = (
        next((value for one in metadata if (value := getattr(one, name, None)) is not None), None)
        for name in ("ge", "le")
    )
    if annotation is int and low is not None and high is not None:
        return st.integers(low, high)
    return st.sampled_from(_values_at(path, SECRETS if annotation is Secret else None))


def _values_at(path: tuple[str, ...], otherwise: Sequence[Any] | None) -> Sequence[Any]:
    for start in range(len(path)):
        found = VALUES.get(".".join(path[start:]))
        if found is not None:
            return found
    if otherwise is None:
        raise LookupError(f"no values for the key {'.'.join(path)}: add them to VALUES")
    return otherwise
