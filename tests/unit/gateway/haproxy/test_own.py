"""Backends of APIs' own as text: what reaches the configuration, and what does not."""

import re
from typing import Any

import pytest

from ostiary.gateway.haproxy import own_backends, own_config, own_map
from ostiary.gateway.haproxy.own import needs_own, own_backend
from ostiary.gateway.haproxy.resources import Unsupported
from ostiary.gateway.plan import API, Backend

PEM = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"


def an_api(*urls: str, **how: Any) -> API:
    return API("api-1", "o-1", "Orders", "/orders", "1.0.0", "PUBLISHED", Backend(urls, **how), ())


def resolve(_host: str, _port: int) -> tuple[str, ...]:
    return ("192.0.2.7",)


@pytest.mark.parametrize(
    ("api", "own"),
    [
        (an_api("http://a.example"), False),
        (an_api("http://a.example", timeout_ms=500), False),
        (an_api("http://a.example", server_name="b.example"), False),
        (an_api("http://a.example/x", "http://b.example/y"), False),
        (an_api("http://a.example/x", "http://b.example/x/"), True),
        (an_api("http://a.example", connect_timeout_ms=500), True),
        (an_api("http://a.example", breaker_failures=3), True),
        (an_api("http://a.example", breaker_pause_seconds=3), True),
        (an_api("http://a.example", health_check="/"), True),
        (an_api("https://a.example", server_name="b.example"), True),
        (an_api("https://a.example", ca=PEM), True),
        (an_api("https://a.example", client_certificate=PEM, client_key="k"), True),
    ],
)
def test_only_what_cannot_be_shared_has_a_backend_of_its_own(api: API, own: bool):
    assert needs_own(api.backend, api.backend.production) is own


def test_the_whole_section_is_as_it_was():
    api = an_api(
        "https://a.example/base",
        "https://a.example:8443/base",
        health_check="/h",
        ca=PEM,
        connect_timeout_ms=700,
    )

    (own,) = own_backends([api], resolve)

    (ca,) = own.files
    assert re.fullmatch(r"[0-9a-f]{32}\.ca\.pem", ca)
    check = (
        "check inter 2s fastinter 500ms downinter 1s fall 3 rise 1 observe layer4 error-limit 3 "
        "on-error mark-down check-sni a.example"
    )
    assert own.text.splitlines() == [
        "backend own-api-1-production from services",
        "    balance roundrobin",
        "    option redispatch 1",
        "    retries 2",
        "    http-reuse always",
        "    timeout connect 700ms",
        "    option httpchk",
        "    http-check send meth GET uri-lf %[be_name,concat(.check),map_str(maps/own.map)] ver HTTP/1.1"
        " hdr Host %[be_name,concat(.host),map_str(maps/own.map)] hdr User-Agent ostiary-health-check"
        " hdr Connection close",
        "    http-check expect status 200-399",
        f"    default-server ssl verify required alpn http/1.1 ca-file own/{ca}"
        " sni srv_name,map_str(maps/own.map,-)",
        f"    server own-api-1-production-1 192.0.2.7:443 {check}",
        f"    server own-api-1-production-2 192.0.2.7:8443 {check}",
    ]
    assert own_map([own]).splitlines() == [
        "own-api-1-production a.example+%2Fbase",
        "own-api-1-production.host a.example",
        "own-api-1-production.check /h",
        "own-api-1-production-1 a.example",
        "own-api-1-production-2 a.example",
    ]


@pytest.mark.parametrize(
    "api",
    [
        an_api("http://a.example", health_check="/x\nserver evil 192.0.2.66:80"),
        an_api("https://a.example", health_check="/x", server_name="x verify none"),
        an_api("https://192.0.2.1", ca=PEM),
        an_api("https://a.example", client_certificate=PEM),
        an_api("http://a.example/x", "http://b.example/y", connect_timeout_ms=5),
    ],
)
def test_what_cannot_be_configured_safely_is_not(api: API):
    with pytest.raises(Unsupported):
        own_backend(api, "production", resolve)

    assert own_config(own_backends([api], resolve)).count("\n") == 1


def test_an_address_is_written_as_an_address_whatever_the_name_server_says():
    (own,) = own_backends([an_api("http://a.example", health_check="/")], lambda *_: ("2001:db8::7",))

    assert "    server own-api-1-production-1 [2001:db8::7]:80 check" in own.text
