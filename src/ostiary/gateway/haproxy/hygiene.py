"""What is refused or removed before anything is decided, as expressions HAProxy evaluates.

A path is accepted only in the one form that every reader reads alike (RFC 3986 §6.2.2), so the path decided
on is the path the backend serves: plain segments, no parameter, no dot segment, no empty segment, and
percent-encoding only where it is needed, once, and of valid UTF-8 (RFC 3629 §4).
"""

from __future__ import annotations

from typing import Final

PATH_AT_MOST: Final = 4096
_PLAIN: Final = r"A-Za-z0-9._~!$&\x27()+*,=:@-"
"""What RFC 3986 §3.3 lets stand in a segment as it is, but for `;`."""

_NEEDED: Final = "|".join(
    (
        "2[0-46-9A-Ca-c]",  # not 2D 2E (unreserved), not 2F (slash)
        "25(?![0-9A-Fa-f]{2})",  # a percent sign that does not make a second round of decoding
        "3[ACDEFacdef]",  # not 3B (;)
        "40",
        "5[BDEbde]",  # not 5C (backslash), not 5F (unreserved)
        "60",
        "7[B-Db-d]",  # not 7E (unreserved), not 7F
    )
)
_TAIL: Final = "%[89ABab][0-9A-Fa-f]"
_UTF8: Final = "|".join(
    (
        f"[Cc]2%[ABab][0-9A-Fa-f]|[Cc][3-9A-Fa-f]{_TAIL}|[Dd][0-9A-Fa-f]{_TAIL}",  # not C0 C1, not U+0080-9F
        f"[Ee]0%[ABab][0-9A-Fa-f]{_TAIL}",
        f"[Ee][1-9A-CEFa-cef](?:{_TAIL}){{2}}",
        f"[Ee][Dd]%[89][0-9A-Fa-f]{_TAIL}",  # no surrogates
        f"[Ff]0%[9ABab][0-9A-Fa-f](?:{_TAIL}){{2}}",
        f"[Ff][1-3](?:{_TAIL}){{3}}",
        f"[Ff]4%8[0-9A-Fa-f](?:{_TAIL}){{2}}",
    )
)
GOOD_PATH: Final = (
    f"^(?=/)(?:/(?!\\.{{1,2}}(?:/|$))(?:[{_PLAIN}]++|%(?:{_NEEDED}|{_UTF8}))++)*+/?(?![\\s\\S])"
)
"""A path of plain segments: none is empty, `.` or `..`, and no escape is malformed, not needed, dangerous,
overlong or not UTF-8. Possessive throughout: PCRE then needs no stack for long paths."""

_ANY: Final = "[^a-z0-9]"
"""Whatever stands where a name has a dash: backends fold `_` (CGI), some every punctuation, into it."""
_OURS: Final = (
    "x-jwt-assertion",
    "x-request-id",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-forwarded",
    "forwarded",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-host",
    "x-rewrite-url",
    "proxy",
    # Hop by hop (RFC 9110 §7.6.1): `Connection: X-JWT-Assertion` would make the next proxy drop ours.
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "trailer",
    "upgrade",
    "http2-settings",
    "te",
)
_FRAMING_IN_DISGUISE: Final = "transfer[^a-z0-9-]encoding|content[^a-z0-9-]length"
"""What a backend that folds `_` and `-` into one takes for framing; the real ones are HAProxy's to judge."""
EDGE_HEADERS: Final = (
    f"^({'|'.join(name.replace('-', _ANY) for name in _OURS)}|x{_ANY}forwarded{_ANY}[^:]*"
    f"|{_FRAMING_IN_DISGUISE})$"
)
"""Header names that only we set or nobody may; HAProxy has them in lower case."""

TRACEPARENT: Final = (
    "^(?:00-(?=.{52}$)|(?!00|ff)[0-9a-f]{2}-(?=.{52}(?:-|$)))"
    "(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
"""A `traceparent` we pass on (W3C Trace Context §3.2): version 00, or a later one that begins like it."""

_ORGANIZATION: Final = "/t/[a-z0-9][a-z0-9_-]{1,62}"
PROTOCOL_PATH: Final = f"^(?:{_ORGANIZATION})?/(?:token|revoke|jwks|gateway/jwks)$"
"""What the gateway listener passes to the workers; everything else is an API."""
WORKERS_PATH: Final = f"{PROTOCOL_PATH}|^/-/ready$"
"""The same, and what is said of the gateway itself beside it."""

CLIENT_PATH: Final = f"^(?:{_ORGANIZATION})?/(?:(?:oauth2/)?(?:token|revoke|introspect)$|api/)"
"""Where clients and administrators authenticate, on either listener."""


NODE_HEADERS: Final = "^x[^a-z0-9]ostiary[^a-z0-9]node$"
"""What names a certified gateway node to the workers, in every spelling a reader may take for it."""


def quoted(text: str) -> str:
    """Quote text for HAProxy's configuration, where single quotes keep everything else as it is."""
    return "'" + text.replace("'", "'\\''") + "'"
