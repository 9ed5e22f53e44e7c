"""The smaller parts of the agent: names of backends, map files, the way to the control plane."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr
from tests.unit.gateway.builders import an_api

from ostiary.foundation.http_client import Address, OutboundFailed, OutboundPolicy, OutboundRefused
from ostiary.gateway import GatewaySettings, NodeSettings
from ostiary.gateway.haproxy import MapEntry, map_files
from ostiary.gateway.node.control_plane import ControlPlane, ControlPlaneDown, PlanTooOld
from ostiary.gateway.node.resolve import Resolver, names_of
from ostiary.gateway.node.structure import Structure
from ostiary.gateway.plan import Backend, BadPlan, content_digest


@dataclass(frozen=True)
class NameServer(OutboundPolicy):
    """The outbound policy over names the test gives."""

    names: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    pause: float = 0
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        if host in self.silent:
            await asyncio.sleep(3600)
        await asyncio.sleep(self.pause)
        if host not in self.names:
            raise OutboundFailed("connect")
        address = ipaddress.ip_address(self.names[host])
        self.check_address(address, port)
        return [address]


def test_a_literal_address_needs_no_name_server() -> None:
    assert Resolver(OutboundPolicy()).lookup("127.0.0.1", 9701) == ("127.0.0.1",)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "0.0.0.0", "::ffff:169.254.169.254", "fe80::1"]
)
def test_an_address_outside_the_policy_leads_nowhere(host: str) -> None:
    assert Resolver(OutboundPolicy()).lookup(host, 80) == ()


def test_our_own_listener_is_no_backend() -> None:
    assert Resolver(OutboundPolicy(own_ports=frozenset({8243}))).lookup("127.0.0.1", 8243) == ()


async def test_a_name_is_learned_and_refused_addresses_are_not() -> None:
    resolver = Resolver(NameServer(names={"good": "93.184.216.34", "evil": "169.254.169.254"}))

    await resolver.learn([("good", 443), ("evil", 443), ("unknown", 443)], within=1)

    assert resolver.lookup("good", 443) == ("93.184.216.34",)
    assert resolver.lookup("evil", 443) == resolver.lookup("unknown", 443) == ()


async def test_a_silent_name_server_holds_nothing_up() -> None:
    resolver = Resolver(NameServer(names={"good": "93.184.216.34"}, silent={"slow"}))

    async with asyncio.timeout(2):
        assert not await resolver.learn([("good", 80), ("slow", 80)], within=0.05)

    assert resolver.lookup("good", 80) == ("93.184.216.34",)


async def test_a_name_under_way_is_not_asked_for_again() -> None:
    """A name server that answers nothing would otherwise collect questions without end."""
    server = NameServer(silent={"slow"})
    resolver = Resolver(server)

    for _ in range(5):
        await resolver.learn([("slow", 80)], within=0.01)

    assert server.asked == ["slow"]


async def test_an_answer_that_came_late_is_told_by_the_next_refresh() -> None:
    """Its API was published without an address; somebody has to say that there is one now."""
    server = NameServer(names={"slow": "93.184.216.34"}, pause=0.1)
    resolver = Resolver(server)
    await resolver.learn([("slow", 80)], within=0.01)
    assert resolver.lookup("slow", 80) == ()

    assert await resolver.refresh([("slow", 80)]) == {"slow"}
    assert await resolver.refresh([("slow", 80)]) == set()


async def test_addresses_that_change_are_told_and_unknown_names_keep_their_last() -> None:
    server = NameServer(names={"moving": "93.184.216.34", "lost": "93.184.216.35", "still": "93.184.216.36"})
    resolver, names = Resolver(server), [("moving", 80), ("lost", 80), ("still", 80)]
    await resolver.learn(names, within=1)
    server.names["moving"] = "93.184.216.99"
    del server.names["lost"]

    assert await resolver.refresh(names) == {"moving"}
    assert resolver.lookup("moving", 80) == ("93.184.216.99",)
    assert resolver.lookup("lost", 80) == ("93.184.216.35",)


async def test_a_name_that_turns_to_a_refused_address_leads_nowhere() -> None:
    """DNS rebinding."""
    server = NameServer(names={"rebound": "93.184.216.34"})
    resolver = Resolver(server)
    await resolver.learn([("rebound", 80)], within=1)
    server.names["rebound"] = "127.0.0.1"
    with pytest.raises(OutboundRefused):
        OutboundPolicy(allowed_networks=()).check_address(ipaddress.ip_address("127.0.0.1"), 80)
    object.__setattr__(server, "allowed_networks", ())

    assert await resolver.refresh([("rebound", 80)]) == {"rebound"}
    assert resolver.lookup("rebound", 80) == ()


def test_names_are_those_of_every_backend_address() -> None:
    api = an_api(backend=Backend(("https://a.example/base", "http://127.0.0.1:9701"), ("http://b.example",)))

    assert names_of([api]) == {("a.example", 443), ("127.0.0.1", 9701), ("b.example", 80)}


def test_every_map_file_exists_before_haproxy_starts(tmp_path: Path) -> None:
    structure = Structure(tmp_path / "maps")
    structure.replace({"routes-01.map": {"my_company/orders/1.0.0/": "1|api"}})

    structure.write()

    written = {file.name: file.read_text() for file in (tmp_path / "maps").iterdir()}
    assert set(written) == set(map_files())
    assert written["routes-01.map"] == "my_company/orders/1.0.0/ 1|api\n"
    assert "".join(written.values()) == written["routes-01.map"]


def test_a_change_is_written_and_what_is_the_same_is_none(tmp_path: Path) -> None:
    structure = Structure(tmp_path / "maps")
    structure.replace({"routes-01.map": {"a": "1", "b": "2"}})
    structure.write()
    same, changed, gone = (
        MapEntry("routes-01.map", "a", "1"),
        MapEntry("routes-01.map", "a", "9"),
        MapEntry("routes-01.map", "b", None),
    )

    assert structure.change([same]) == []
    assert structure.change([changed, gone, gone]) == [changed, gone]
    structure.write()

    assert (tmp_path / "maps" / "routes-01.map").read_text() == "a 9\n"
    assert structure.content("routes-01.map") == [("a", "9")]


def a_control_plane(*answers: httpx2.Response | Exception) -> tuple[ControlPlane, list[int]]:
    """One worker for each answer; the list fills with who was asked."""
    asked: list[int] = []

    def worker(number: int, answer: httpx2.Response | Exception) -> httpx2.MockTransport:
        def handle(_: httpx2.Request) -> httpx2.Response:
            asked.append(number)
            if isinstance(answer, Exception):
                raise answer
            digest = {"Content-Digest": content_digest(answer.content)}
            return httpx2.Response(answer.status_code, content=answer.content, headers=digest)

        return httpx2.MockTransport(handle)

    transports = [worker(number, answer) for number, answer in enumerate(answers)]
    return ControlPlane(transports, SecretStr("credential")), asked


EMPTY = httpx2.Response(200, json={"schema_version": 1, "number": 4, "complete": False, "entries": []})


async def test_a_worker_that_is_down_is_passed_over_and_asked_last_from_then_on() -> None:
    control_plane, asked = a_control_plane(httpx2.ConnectError("down"), httpx2.Response(502), EMPTY)

    assert (await control_plane.plan(3, 0, seen=3)).number == 4
    await control_plane.plan(3, 0, seen=3)

    assert asked == [0, 1, 2, 2]


async def test_only_when_no_worker_answers_is_the_control_plane_down() -> None:
    control_plane, _ = a_control_plane(httpx2.ConnectError("down"), httpx2.Response(401))

    with pytest.raises(ControlPlaneDown):
        await control_plane.plan(3, 0, seen=3)


async def test_a_gone_plan_and_a_bad_plan_are_two_things() -> None:
    with pytest.raises(PlanTooOld):
        await a_control_plane(httpx2.Response(410))[0].plan(3, 0, seen=3)
    for content in (b"", b"[]", b"{}", b'{"schema_version": 9}', b"<html>"):
        with pytest.raises(BadPlan):
            await a_control_plane(httpx2.Response(200, content=content))[0].plan(3, 0, seen=3)


def test_the_command_line_gives_the_agent_exactly_these_settings(tmp_path: Path) -> None:
    import json

    settings = NodeSettings(
        data_directory=tmp_path,
        control_plane=(tmp_path / "run" / "worker-0.sock",),
        gateway=GatewaySettings(max_decisions=512),
        allowed_networks=OutboundPolicy().allowed_networks,
        own_ports=frozenset({8243, 9443}),
    )

    command = settings.command()

    assert command[3:5] == ("--data-dir", str(tmp_path))
    assert NodeSettings(data_directory=tmp_path, **json.loads(command[6])) == settings
