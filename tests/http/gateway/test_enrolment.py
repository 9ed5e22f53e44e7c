"""Gateway nodes on machines of their own: one-time tokens, certificates, and who may have either."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.http.gateway.platform import INTERNAL, NODES, Clock, Platform, Where, an_administrator
from tests.support.identity import BOX

from ostiary.app import Settings, build_app
from ostiary.foundation.certificates import fingerprint, new_key, signing_request
from ostiary.foundation.database import Database, write_engine
from ostiary.gateway import enrolment, ensure_embedded_node
from ostiary.gateway.errors import NotEnrolled
from ostiary.gateway.repository import all_nodes


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    clock = Clock()
    with TestClient(Where(build_app(settings, clock)), raise_server_exceptions=False) as client:
        yield Platform(client, settings, clock)


def test_a_node_enrols_with_its_token_and_is_certified_by_the_authority_the_token_names(platform: Platform):
    token, key = platform.token(), new_key()

    answer = platform.enrol(token, signing_request(key)).json()

    authority = x509.load_pem_x509_certificate(answer["authority"].encode())
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    assert token.endswith("." + fingerprint(authority))
    assert platform.nodes("GET", f"{INTERNAL}/authority").content.decode() == answer["authority"]
    certificate.verify_directly_issued_by(authority)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == f"CN={answer['node_id']}"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [one._name for one in usage] == ["clientAuth"]
    assert certificate.not_valid_after_utc <= platform.clock() + timedelta(days=7, seconds=1)
    assert answer["name"] == "edge-1"
    assert platform.listed() == {"edge-1": "away"}


def test_an_enrolled_node_gets_the_plan_and_registers_keys(platform: Platform):
    node = platform.enrolled()

    assert platform.nodes("GET", f"{INTERNAL}/plan?after=0", node).status_code == 200
    assert platform.nodes("PUT", f"{INTERNAL}/node/keys", node, json={"keys": []}).status_code == 200
    assert platform.nodes("GET", f"{INTERNAL}/plan?after=1", node).status_code in (200, 410)
    assert platform.listed() == {"edge-1": "connected"}


def test_a_node_is_certified_again_for_a_new_key(platform: Platform):
    node, key = platform.enrolled(), new_key()

    request = {"request": signing_request(key).decode()}
    answer = platform.nodes("POST", f"{INTERNAL}/node/certificate", node, json=request)

    certificate = x509.load_pem_x509_certificate(answer.json()["certificate"].encode())
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == f"CN={node}"


def test_a_replayed_token_is_refused(platform: Platform):
    token = platform.token()
    platform.enrol(token)

    answer = platform.enrol(token)

    assert answer.status_code == 403
    assert "make a new one with `ostiary nodes add`" in answer.json()["description"]
    assert list(platform.listed()) == ["edge-1"]


def test_of_two_enrolments_at_once_with_one_token_one_succeeds(platform: Platform):
    token = platform.token()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: platform.enrol(token).status_code, range(8)))

    assert sorted(answers) == [200, *[403] * 7]


def test_a_token_is_over_after_an_hour(platform: Platform):
    token = platform.token()
    platform.clock.now += timedelta(hours=1)

    assert platform.listed() == {"edge-1": "token expired"}
    assert platform.enrol(token).status_code == 403


def test_a_second_token_of_a_name_makes_the_first_one_void(platform: Platform):
    first, second = platform.token(), platform.token()

    assert platform.enrol(first).status_code == 403
    assert platform.enrol(second).status_code == 200


def test_a_node_that_is_enrolled_is_not_added_again(platform: Platform):
    platform.enrolled()

    answer = platform.local("POST", NODES, json={"name": "edge-1"})

    assert answer.status_code == 409
    assert "remove it first" in answer.json()["description"]


@pytest.mark.parametrize("name", ["", "embedded", "Upper", "a b", "-a", "a" * 64, "ü", "a\n"])
def test_a_name_that_is_none_is_refused(platform: Platform, name: str):
    answer = platform.local("POST", NODES, json={"name": name})

    assert answer.status_code == 400
    assert answer.json()["description"].startswith("name: ")


def bad_requests() -> dict[str, str]:
    key = rsa.generate_private_key(65537, 2048)
    other = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    good = signing_request(new_key()).decode().splitlines()
    middle = len(good) // 2
    altered = [*good[:middle], good[middle][::-1], *good[middle + 1 :]]
    return {
        "nonsense": "nonsense",
        "empty": "",
        "rsa": other.public_bytes(Encoding.PEM).decode(),
        "altered": "\n".join(altered),
    }


@pytest.mark.parametrize("name", bad_requests())
def test_a_bad_signing_request_uses_no_token_up(platform: Platform, name: str):
    token = platform.token()

    answer = platform.enrol(token, bad_requests()[name].encode())

    assert answer.status_code == 400
    assert answer.json()["description"].startswith("request: ")
    assert platform.enrol(token).status_code == 200


@pytest.mark.parametrize("token", ["", "ostn_x", "ostn_" + "a" * 43 + "." + "0" * 63, "x" * 9000])
def test_what_is_no_token_is_refused_and_not_repeated(platform: Platform, token: str):
    answer = platform.enrol(token)

    assert answer.status_code == 400
    assert answer.json()["description"].startswith("token: an enrolment token")


def test_a_guessed_token_is_refused(platform: Platform):
    right = platform.token()
    guess = "ostn_" + "a" * 43 + right[right.index(".") :]

    assert platform.enrol(guess).status_code == 403


def test_a_token_is_not_in_the_database(platform: Platform):
    secret = platform.token().partition("_")[2].partition(".")[0]

    engine = write_engine(platform.settings.database)
    with engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM gateway_nodes").all()
        sealed = connection.exec_driver_sql("SELECT sealed_key FROM gateway_authority").scalar_one()
    engine.dispose()
    assert secret not in str(rows)
    assert "PRIVATE KEY" not in sealed


def test_a_removed_node_is_refused_at_once_whatever_it_asks(platform: Platform):
    node = platform.enrolled()

    assert platform.local("DELETE", f"{NODES}/edge-1").status_code == 204

    for method, path in (
        ("GET", f"{INTERNAL}/plan?after=0"),
        ("POST", f"{INTERNAL}/introspect"),
        ("PUT", f"{INTERNAL}/node/keys"),
        ("POST", f"{INTERNAL}/node/certificate"),
        ("POST", "/token"),
        ("GET", "/t/acme/jwks"),
    ):
        assert platform.nodes(method, path, node, json={}).status_code == 401, path
    assert platform.local("DELETE", f"{NODES}/edge-1").status_code == 404


def test_the_long_poll_of_a_node_that_is_removed_ends_at_once(platform: Platform):
    node = platform.enrolled()
    number = platform.nodes("GET", f"{INTERNAL}/plan?after=0", node).json()["number"]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(platform.nodes, "GET", f"{INTERNAL}/plan?after={number}&wait=25", node)
        platform.local("DELETE", f"{NODES}/edge-1")
        answer = waiting.result(10)

    assert answer.status_code == 401


def test_a_removed_nodes_keys_are_no_longer_published(platform: Platform):
    node, key = platform.enrolled(), ECKey.generate_key("P-256")
    public = {"kid": key.thumbprint(), "jwk": dict(key.as_dict(private=False)), "state": "active"}
    platform.nodes("PUT", f"{INTERNAL}/node/keys", node, json={"keys": [public]})
    before = platform.client.get("/gateway/jwks").json()["keys"]

    platform.local("DELETE", f"{NODES}/edge-1")

    assert [one["kid"] for one in before] == [key.thumbprint()]
    assert platform.client.get("/gateway/jwks").json() == {"keys": []}


def test_without_a_certificate_a_node_gets_nothing_but_the_authority(platform: Platform):
    platform.token()

    assert platform.nodes("GET", f"{INTERNAL}/authority").status_code == 200
    for path in (f"{INTERNAL}/plan", "/token", "/jwks", "/t/acme/gateway/jwks"):
        assert platform.nodes("GET", path).status_code == 401, path


def test_a_certificate_header_is_believed_from_the_node_listener_alone(platform: Platform):
    """Header spoofing: whoever sends it to another listener is nobody."""
    node = platform.enrolled()

    for path in (f"{INTERNAL}/plan", NODES):
        assert platform.client.get(path, headers={"X-Ostiary-Node": node}).status_code == 401, path


def test_two_certificate_headers_are_none(platform: Platform):
    node = platform.enrolled()
    headers = [("X-Test-Socket", "node_listener"), ("X-Ostiary-Node", node), ("X-Ostiary-Node", node)]

    assert platform.client.get(f"{INTERNAL}/plan", headers=headers).status_code == 401


def test_a_nodes_certificate_opens_no_management_api(platform: Platform):
    node = platform.enrolled()

    for path in (
        NODES,
        "/api/oauth/v1/clients",
        "/oauth2/introspect",
        "/openapi.json",
        "/t/acme/api/apim/v1/apis",
    ):
        assert platform.nodes("GET", path, node).status_code == 404, path


def test_an_administrators_password_is_no_use_at_the_node_listener(platform: Platform, settings: Settings):
    admin = an_administrator(settings, "default")

    assert platform.nodes("GET", f"{INTERNAL}/plan", headers=admin).status_code == 401
    assert platform.nodes("GET", NODES, headers=admin).status_code == 404


def test_the_embedded_nodes_identifier_is_no_certificate(platform: Platform, settings: Settings):
    engine = write_engine(settings.database)
    with engine.begin() as connection:
        embedded = ensure_embedded_node(connection, SecretStr("credential"), BOX, datetime.now(UTC))
    engine.dispose()

    assert platform.nodes("GET", f"{INTERNAL}/plan", embedded.id).status_code == 401
    assert platform.local("DELETE", f"{NODES}/embedded").status_code == 404


def test_enrolling_happens_at_the_node_listener_alone(platform: Platform):
    token = platform.token()
    asked = {"token": token, "request": signing_request(new_key()).decode()}

    assert platform.client.post(f"{INTERNAL}/enrol", json=asked).status_code == 401
    assert platform.client.get(f"{INTERNAL}/authority").status_code == 401
    assert platform.listed() == {"edge-1": "waiting"}


def test_the_administrator_of_the_platform_may_add_nodes(platform: Platform, settings: Settings):
    admin = an_administrator(settings, "default")

    answer = platform.client.post(NODES, json={"name": "edge-1"}, headers=admin)

    assert answer.status_code == 201
    assert answer.json()["state"] == "waiting"


def test_an_organizations_administrator_enrols_no_node(platform: Platform, settings: Settings):
    admin = an_administrator(settings, "acme")
    assert platform.client.get("/t/acme/api/apim/v1/apis", headers=admin).status_code == 200

    for method in ("GET", "POST"):
        assert platform.client.request(method, NODES, json={"name": "evil"}, headers=admin).status_code == 401
        under = platform.client.request(method, f"/t/acme{NODES}", json={"name": "evil"}, headers=admin)
        assert under.status_code == 404
    assert platform.listed() == {}
    assert platform.client.delete(f"{NODES}/edge-1", headers=admin).status_code == 401


async def test_tokens_are_used_once_on_both_databases(database: Database):
    """N parallel redemptions on every supported database: exactly one success."""
    now, week = datetime.now(UTC), timedelta(days=7)
    _, token = await database.write(lambda c: enrolment.add_node(c, "edge-1", BOX, now))
    request = signing_request(new_key())
    attempts = [
        database.write(lambda c: enrolment.enrol(c, token, request, BOX, now, week)) for _ in range(10)
    ]

    results = await asyncio.gather(*attempts, return_exceptions=True)

    assert sum(not isinstance(one, Exception) for one in results) == 1
    assert sum(isinstance(one, NotEnrolled) for one in results) == 9
    assert [node.name for node in await database.read(all_nodes)] == ["edge-1"]
