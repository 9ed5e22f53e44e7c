"""Resources out of an OpenAPI 3 document: its paths, methods, OAuth scopes and what needs no credential.

`security: []` says that an operation asks for no credential; a document that says nothing of security asks
for a token all the same. A scope of any security requirement of an operation lets a call pass, because any
one scope of a resource suffices. HEAD follows GET, and TRACE is never published, so both are left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ostiary.apim.errors import Invalid
from ostiary.apim.exposure import AuthType
from ostiary.apim.model import Resource, check_resources
from ostiary.apim.paths import METHODS


def read_resources(document: Any) -> tuple[Resource, ...]:
    """The resources that an OpenAPI document describes, in its order.

    Raises:
        Invalid: not an OpenAPI 3 document, no operation in it, or a path the gateway cannot match.
    """
    version = document.get("openapi") if isinstance(document, Mapping) else None
    if not isinstance(version, str) or not version.startswith("3."):
        raise Invalid("openapi", repr(version), "an OpenAPI 3 document (with a key such as openapi: 3.1.0)")
    found = tuple(_operations(document))
    if not found:
        raise Invalid("openapi", "no operation", "at least one operation in paths")
    check_resources(found)
    return found


def _operations(document: Mapping[str, Any]) -> Iterator[Resource]:
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, Mapping) else ():
        for method in METHODS:
            operation = item.get(method.lower()) if isinstance(item, Mapping) else None
            if isinstance(operation, Mapping):
                security = operation.get("security", document.get("security"))
                auth = AuthType.NONE if security == [] else AuthType.ANY
                yield Resource(method, str(path), tuple(_scopes(document, security)), auth=auth)


def _scopes(document: Mapping[str, Any], security: Any) -> Iterator[str]:
    components = document.get("components")
    schemes = components.get("securitySchemes") if isinstance(components, Mapping) else None
    seen: set[str] = set()
    for requirement in security if isinstance(security, list) else ():
        for name, scopes in requirement.items() if isinstance(requirement, Mapping) else ():
            scheme = schemes.get(name) if isinstance(schemes, Mapping) else None
            kind = scheme.get("type") if isinstance(scheme, Mapping) else None
            for scope in scopes if kind in ("oauth2", "openIdConnect") and isinstance(scopes, list) else ():
                if str(scope) not in seen:
                    seen.add(str(scope))
                    yield str(scope)
