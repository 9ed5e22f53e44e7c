"""Where a published API lives: contexts, versions and path templates, exactly as the gateway reads them.

The gateway matches the raw path and refuses dot segments, empty segments, `;`, backslash and
encoded slashes before it matches, so a template that needs one of them could never be called.
"""

import re

from ostiary.apim.errors import Invalid

RESERVED = frozenset(
    {"token", "revoke", "authorize", "userinfo", "jwks", "introspect", "oauth2", "oidc", ".well-known"}
    | {"gateway", "t", "o", "-", "internal", "device", "device_authorize", "par", "ciba", "register"}
    | {"logout", "samlsso", "commonauth", "scim2"}
)
"""First segments that are ours on the gateway listener."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods a resource can have; HEAD follows GET."""

_CONTEXT = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._~-]*)+")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,29}")
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()+,=:@-]+")
_TEMPLATE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]{0,63})\}")
_LONGEST_CONTEXT = 200
_LONGEST_PATH = 500


def parse_context(text: str) -> str:
    """Check the context of an API: one or more segments, none of them ours in first place.

    Raises:
        Invalid: says which rule it breaks.
    """
    if not _CONTEXT.fullmatch(text) or len(text) > _LONGEST_CONTEXT:
        raise Invalid(
            "context",
            repr(text),
            "a path such as /orders: segments of letters, digits, '.', '_', '~' and '-', no slash at the end",
        )
    if text.split("/")[1].casefold() in RESERVED:
        raise Invalid(
            "context", repr(text), f"a context that does not begin with /{text.split('/')[1]}, which is ours"
        )
    return text


def parse_version(text: str) -> str:
    """Check the version of an API: one path segment such as 1.0.0 or v1.

    Raises:
        Invalid: it is not one.
    """
    if not _VERSION.fullmatch(text):
        raise Invalid(
            "version", repr(text), "at most 30 letters, digits, '.', '_', '-'; a letter or digit first"
        )
    return text


def parse_method(text: str) -> str:
    """Check a resource's method.

    Raises:
        Invalid: it is none of `METHODS`.
    """
    if text not in METHODS:
        hint = " (HEAD follows GET)" if text.upper() == "HEAD" else ""
        raise Invalid("method", repr(text), f"one of {', '.join(METHODS)}{hint}")
    return text


def parse_path(text: str) -> str:
    """Check a path template: literal segments, `{name}` segments, and possibly `/*` at the end.

    Raises:
        Invalid: says which segment is wrong and why.
    """
    if not text.startswith("/") or len(text) > _LONGEST_PATH:
        raise Invalid(
            "path", repr(text), f"a path that begins with '/' and has at most {_LONGEST_PATH} characters"
        )
    if text == "/":
        return text
    segments = text[1:].split("/")
    names: set[str] = set()
    for number, segment in enumerate(segments, 1):
        last = number == len(segments)
        if segment == "*" and last:
            continue
        if template := _TEMPLATE.fullmatch(segment):
            if template[1] in names:
                raise Invalid(
                    "path", repr(text), f"each template name once, {{{template[1]}}} is there twice"
                )
            names.add(template[1])
            continue
        if segment in ("", ".", "..") or not _LITERAL.fullmatch(segment):
            raise Invalid("path", repr(text), _expected_segment(segment))
    return text


def _expected_segment(segment: str) -> str:
    if segment == "":
        return "no empty segment and no slash at the end"
    if segment in (".", ".."):
        return "no '.' or '..' segment"
    if "*" in segment:
        return "'*' only as the whole last segment, as in /files/*"
    if "{" in segment or "}" in segment:
        return f"a template to be a whole segment such as {{id}}, not {segment!r}"
    return f"letters, digits and -._~!$&'()+,=:@ in a segment, not {segment!r}"


def shape(path: str) -> str:
    """Return the template without its names: two resources of one shape and method are the same resource."""
    return _TEMPLATE.sub("{}", path)


def enclosing(base_path: str) -> tuple[str, ...]:
    """Return every shorter base path under which `base_path` would lie: `/a/b/1` gives `/a`, `/a/b`."""
    segments = base_path.split("/")[1:]
    return tuple("/" + "/".join(segments[:count]) for count in range(1, len(segments)))
