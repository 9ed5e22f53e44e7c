"""plan.yaml → haproxy.cfg and maps, compared whole."""

import os
from pathlib import Path

import pytest
import yaml

from ostiary.gateway.haproxy import (
    ControlPlanes,
    GatewayListener,
    Listener,
    NodeListener,
    gateway_config,
    management_config,
    map_files,
    structure_maps,
)
from ostiary.gateway.plan import Entry, GatewayPlan

GOLDEN = Path(__file__).parent / "gateway"
LUA = Path("/usr/share/ostiary")
CERTIFICATE = Path("/var/lib/ostiary/it's tls/server.pem")


def _plan() -> GatewayPlan:
    entries = yaml.safe_load((GOLDEN / "plan.yaml").read_text())
    return GatewayPlan().apply(7, [Entry(**entry) for entry in entries])


def _resolve(host: str, _port: int) -> tuple[str, ...]:
    return {"orders.example": ("192.0.2.7", "2001:db8::7")}.get(host, ())


def _maps() -> str:
    maps = structure_maps(_plan(), _resolve)
    assert maps.keys() <= set(map_files())
    lines = [f"{name}: {key} {value}\n" for name in sorted(maps) for key, value in sorted(maps[name].items())]
    return "".join(lines)


def _gateway() -> str:
    return gateway_config(
        GatewayListener(
            port=8243,
            certificate=CERTIFICATE,
            workers=("worker-0.sock", "worker-1.sock"),
            threads=2,
            http_port=8280,
            backend_ca=Path("/etc/ssl/certs/ca-certificates.crt"),
            lua=LUA,
        )
    )


def _smallest_gateway() -> str:
    return gateway_config(
        GatewayListener(
            port=8243, certificate=CERTIFICATE, workers=("worker-0.sock",), access_log="off", lua=LUA
        )
    )


def _management() -> str:
    return management_config(
        Listener(port=9443, certificate=CERTIFICATE, workers=("worker-0.sock",), access_log="all")
    )


def _control_plane() -> str:
    nodes = NodeListener(9444, Path("/tls/nodes.pem"), Path("/tls/node-authority.pem"), ("nodes-0.sock",))
    return management_config(
        Listener(port=9443, certificate=CERTIFICATE, workers=("worker-0.sock",)), nodes
    ).partition("\n\n# Gateway nodes")[2]


def _gateway_of_its_own() -> str:
    files = (Path("/node/certificate.pem"), Path("/node/authority.pem"))
    planes = ControlPlanes(("one.example:9444", "[2001:db8::1]:9444"), *files, "control-plane.internal")
    listener = GatewayListener(
        port=8243, certificate=CERTIFICATE, workers=(), lua=LUA, node="edge-1", control_planes=planes
    )
    return gateway_config(listener).partition("\nbackend workers")[2]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("structure.maps", _maps),
        ("gateway.cfg", _gateway),
        ("smallest-gateway.cfg", _smallest_gateway),
        ("management.cfg", _management),
        ("node-listener.cfg", _control_plane),
        ("control-planes.cfg", _gateway_of_its_own),
    ],
)
def test_the_written_file_is_as_it_was(name, write):
    file = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        file.write_text(write())

    assert write() == file.read_text()


def test_no_text_of_a_publisher_reaches_a_map_unencoded():
    for entries in structure_maps(_plan(), _resolve).values():
        for key, value in entries.items():
            assert not set(f"{key}{value}") & set(" ;\\\n\"'<")


def test_the_configuration_is_the_same_for_every_plan():
    assert "orders" not in _gateway()
