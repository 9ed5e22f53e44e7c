"""Calls to https backends: the certificate must be of the backend's name and of a trusted authority."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.data_plane import (
    TOKEN,
    Backend,
    DataPlane,
    a_certificate,
    a_decision,
    an_api,
    an_organization,
)

from ostiary.gateway.plan import GatewayPlan

HOSTS = {
    "right": "localhost",
    "other-name": "other.example",
    "address": "127.0.0.1",
    "untrusted": "localhost",
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataPlane]:
    untrusted = tmp_path_factory.mktemp("untrusted")
    plane = DataPlane(GatewayPlan(), Backend())
    trusted, stranger = _served_with(plane.folder), _served_with(untrusted)
    apis = [
        an_api(
            name,
            context=f"/{name}",
            production=[f"https://{host}:{(stranger if name == 'untrusted' else trusted).port}/base"],
        )
        for name, host in HOSTS.items()
    ]
    plane.plan = GatewayPlan().apply(1, [an_organization(), *apis])
    try:
        plane.start()
        plane.decide(*(a_decision(api=name) for name in HOSTS))
        plane.backend = trusted
        yield plane
    finally:
        plane.stop()
        trusted.stop()
        stranger.stop()


def _served_with(folder: Path) -> Backend:
    backend = Backend()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(a_certificate(folder))
    backend.speak_tls(context)
    return backend


def test_a_backend_with_its_own_name_is_called_and_told_it(plane: DataPlane):
    plane.backend.calls.clear()

    answer = plane.get("/t/my_company/right/1.0.0/x", TOKEN)

    assert answer.status == 200
    assert plane.backend.calls[0]["path"] == "/base/x"
    assert dict(plane.backend.calls[0]["headers"])["host"] == f"localhost:{plane.backend.port}"


@pytest.mark.parametrize("name", ["other-name", "address", "untrusted"])
def test_a_backend_that_cannot_prove_its_name_gets_no_call(plane: DataPlane, name: str):
    plane.backend.calls.clear()

    answer = plane.get(f"/t/my_company/{name}/1.0.0/x", TOKEN)

    assert (answer.status, answer.json()["code"]) == (503, "303001")
    assert plane.backend.calls == []


def test_a_connection_to_one_name_is_not_used_for_another(plane: DataPlane):
    statuses = [
        plane.get(f"/t/my_company/{name}/1.0.0/x", TOKEN).status for name in ("right", "other-name", "right")
    ]

    assert statuses == [200, 503, 200]
