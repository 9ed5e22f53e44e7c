"""What a backend may say, and what becomes of the key it is given."""

from dataclasses import replace

import pytest
from pydantic import SecretStr
from tests.support.certificates import Authority

from ostiary.apim import Backend, ClientCertificate, Invalid, check_backend, open_client_key
from ostiary.apim.backends import check_names, client_key_context, settled
from ostiary.foundation.certificates import Purpose
from ostiary.foundation.secrets import SecretBox

BOX = SecretBox(bytes(range(32)))
API = "api-1"
CONTEXT = client_key_context(API)
AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("gateway", purpose=Purpose.CLIENT)
OTHER_KEY = AUTHORITY.issue("gateway", purpose=Purpose.CLIENT)[1]
TLS = ("https://orders.example",)
MUTUAL = Backend(TLS, client_certificate=ClientCertificate(CERTIFICATE, SecretStr(KEY)))
KEPT = settled(MUTUAL, None, BOX, CONTEXT)


def without_key(backend: Backend) -> Backend:
    """As it is sent when the key is to stay."""
    return replace(backend, client_certificate=ClientCertificate(CERTIFICATE))


@pytest.mark.parametrize(
    ("backend", "field"),
    [
        (Backend(TLS, timeout_ms=99), "backend.timeout_ms"),
        (Backend(TLS, timeout_ms=600_001), "backend.timeout_ms"),
        (Backend(TLS, connect_timeout_ms=0), "backend.connect_timeout_ms"),
        (Backend(TLS, breaker_failures=0), "backend.breaker_failures"),
        (Backend(TLS, breaker_failures=1_001), "backend.breaker_failures"),
        (Backend(TLS, breaker_pause_seconds=61), "backend.breaker_pause_seconds"),
        (Backend(("http://a.example/x", "http://b.example/y"), breaker_failures=3), "backend"),
        (Backend(TLS, health_check="healthz"), "backend.health_check"),
        (Backend(TLS, health_check="/a b"), "backend.health_check"),
        (Backend(TLS, health_check="/a\nserver x 1.2.3.4"), "backend.health_check"),
        (Backend(TLS, server_name="Orders.example"), "backend.server_name"),
        (Backend(TLS, server_name="a b"), "backend.server_name"),
        (Backend(TLS, server_name="a.example,b"), "backend.server_name"),
        (Backend(TLS, ca="no certificate"), "backend.ca"),
        (Backend(("http://orders.example",), ca=AUTHORITY.ca), "backend.ca"),
        (
            Backend(TLS, client_certificate=ClientCertificate("none")),
            "backend.client_certificate.certificate",
        ),
        (
            Backend(TLS, client_certificate=ClientCertificate(CERTIFICATE, SecretStr(OTHER_KEY))),
            "backend.client_certificate.key",
        ),
        (
            Backend(TLS, client_certificate=ClientCertificate(CERTIFICATE, SecretStr("no key"))),
            "backend.client_certificate.key",
        ),
        (Backend(("http://a.example/x", "http://b.example/y"), health_check="/"), "backend"),
    ],
)
def test_what_cannot_be_names_its_field(backend: Backend, field: str):
    with pytest.raises(Invalid) as refused:
        check_backend(backend)

    assert refused.value.field == field


@pytest.mark.parametrize(
    "backend",
    [
        Backend(("https://192.0.2.1",)),
        Backend(("https://[2001:db8::1]",)),
        Backend(("https://a.example", "https://b.example"), health_check="/"),
    ],
)
def test_certificates_need_a_name_to_be_compared_with(backend: Backend):
    with pytest.raises(Invalid, match="server_name"):
        check_names(backend)

    check_names(replace(backend, server_name="orders.example"))


def test_a_key_is_kept_sealed_and_opens_for_its_api_alone():
    assert KEPT.client_certificate is not None
    assert KEPT.client_certificate.key is None
    assert KEY not in repr(KEPT)
    assert open_client_key(KEPT, BOX, API) == KEY
    assert open_client_key(KEPT, BOX, "api-2") is None


def test_a_key_stays_while_the_addresses_do():
    assert settled(without_key(KEPT), KEPT, BOX, CONTEXT) == KEPT


def test_the_same_key_again_changes_nothing():
    assert settled(MUTUAL, KEPT, BOX, CONTEXT) == KEPT


@pytest.mark.parametrize("known", [None, Backend(TLS), KEPT])
def test_a_key_is_not_kept_for_another_address(known: Backend | None):
    elsewhere = replace(without_key(KEPT), production=("https://evil.example",))

    with pytest.raises(Invalid) as refused:
        settled(elsewhere, known, BOX, CONTEXT)

    assert refused.value.field == "backend.client_certificate.key"


def test_pem_is_written_anew():
    """What stands around certificates reaches no file."""
    noisy = Backend(TLS, ca=f"global\n  daemon\n{AUTHORITY.ca}\nlisten x\n")

    assert settled(noisy, None, None, CONTEXT).ca == AUTHORITY.ca
